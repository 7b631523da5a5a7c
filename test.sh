#!/bin/sh
# Sets up what the tests need (Debian packages as root, a virtual environment in .venv) and runs all of them:
# style, types, walls between the rooms, unit, simulation and end-to-end tests on a real containerd.
#   ./test.sh [pytest arguments]
set -eu
cd "$(dirname "$0")"

packages="containerd runc nftables containernetworking-plugins conntrack busybox-static iproute2 haproxy skopeo docker-registry \
apache2-utils socat strace libfaketime python3-venv systemd systemd-container wireguard-go"

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
done
command -v kubectl >/dev/null || missing="$missing kubernetes-client"
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "test.sh: these packages are missing, install them as root:$missing" >&2
        exit 2
    fi
    echo "test.sh: installing$missing"
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null
fi

# .venv is made anew when what the project asks for has changed.
stamp=$(cat pyproject.toml hatch_build.py | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.stamp 2>/dev/null || true)" != "$stamp" ]; then
    echo "test.sh: setting up .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -e '.[dev]'
    echo "$stamp" > .venv/.stamp
fi

.venv/bin/ruff check -q .
.venv/bin/ruff format -q --check .
.venv/bin/mypy
.venv/bin/lint-imports
exec .venv/bin/python -m pytest "$@"
