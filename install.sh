#!/bin/sh
# Installs pylet on a Debian machine and starts it, with systemd or without.
#
#   ./install.sh                                            a server that is a node, too
#   ./install.sh agent --server https://HOST:6443 --token K10…   one more node
#   ./install.sh [server|agent] [--FLAG VALUE …]            any flag of `pylet server` or `pylet agent`
#
# Flags are kept in /etc/pylet/<role>.env and survive a second run; a flag given again replaces its old value.
#   --demo-image     also load the image of examples/hello.yaml (built here, no registry needed)
#   --airgap DIR     take Python packages from DIR (wheels), and import every image archive (*.tar) found there
#   --no-start       install only
set -eu

say() { echo "install.sh: $*"; }
die() { echo "install.sh: $*" >&2; exit 2; }

here=$(cd "$(dirname "$0")" && pwd)
role=server
case "${1:-}" in server|agent) role=$1; shift ;; esac
[ "$(id -u)" = 0 ] || die "must run as root (containers, networks and cgroups need it)"
command -v apt-get >/dev/null || die "this machine has no apt-get: install containerd, runc, nftables, the CNI plugins, \
conntrack, busybox-static and python3-venv by hand, then run 'pip install $here'"

prefix=/opt/pylet conf=/etc/pylet state=/var/lib/pylet
demo="" airgap="" start=yes
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT

# --node-name x, --node-name=x and --disable-agent become PYLET_NODE_NAME=x and PYLET_DISABLE_AGENT=true.
while [ $# -gt 0 ]; do
    case $1 in
        --demo-image) demo=yes; shift; continue ;;
        --no-start) start=""; shift; continue ;;
        --airgap) [ $# -gt 1 ] || die "--airgap needs a directory"; airgap=$2; shift 2; continue ;;
        --*=*) name=${1%%=*}; value=${1#*=}; shift ;;
        --*) name=$1; shift
             if [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; then value=$1; shift; else value=true; fi ;;
        *) die "unexpected argument '$1': flags begin with --" ;;
    esac
    name=$(echo "${name#--}" | tr 'a-z-' 'A-Z_')
    grep -q "^PYLET_$name=" "$settings" && value="$(sed -n "s/^PYLET_$name=//p" "$settings"),$value"
    grep -v "^PYLET_$name=" "$settings" > "$settings.new" || true
    echo "PYLET_$name=$value" >> "$settings.new"
    mv "$settings.new" "$settings"
done
[ -z "$airgap" ] || [ -d "$airgap" ] || die "--airgap: $airgap is not a directory"

packages="containerd runc nftables containernetworking-plugins conntrack busybox-static iproute2 python3-venv"
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    say "installing$missing"
    [ -n "$airgap" ] || apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null
    # The distribution's own instance is not needed beside pylet's when nothing used it before.
    case "$missing" in *containerd*) [ -d /run/systemd/system ] && systemctl disable -q --now containerd 2>/dev/null || true ;; esac
fi

# A second run installs again only when the source has changed.
stamp=$(cd "$here" && find pyproject.toml hatch_build.py pylet -type f ! -name '*.pyc' -exec sha256sum {} + | sort | sha256sum)
if [ "$(cat "$prefix/.stamp" 2>/dev/null || true)" != "$stamp" ]; then
    say "installing pylet into $prefix"
    [ -x "$prefix/bin/python" ] || python3 -m venv "$prefix"
    from=""
    [ -z "$airgap" ] || from="--no-index --find-links $airgap"
    "$prefix/bin/python" -m pip install -q --disable-pip-version-check --upgrade $from "$here"
    echo "$stamp" > "$prefix/.stamp"
fi
ln -sf "$prefix/bin/pylet" /usr/local/bin/pylet

mkdir -p "$conf" "$state"
chmod 700 "$state"
env_file=$conf/$role.env
[ -e "$env_file" ] || (umask 077; : > "$env_file")
while IFS= read -r line; do
    grep -v "^${line%%=*}=" "$env_file" > "$env_file.new" || true
    echo "$line" >> "$env_file.new"
    chmod 600 "$env_file.new"
    mv "$env_file.new" "$env_file"
done < "$settings"
grep -q '^PYLET_CONTAINER_RUNTIME_ENDPOINT=' "$env_file" \
    || echo 'PYLET_CONTAINER_RUNTIME_ENDPOINT=unix:///run/pylet/containerd.sock' >> "$env_file"

# Settings are checked before anything is started: a wrong one is said here, not in a log.
(set -a; . "$env_file"; set +a; pylet check-config --role "$role") || die "fix what was said above, then run this again"

cat > "$conf/containerd.toml" <<EOF
# Written by install.sh: the containerd that belongs to pylet.
version = 2
root = "$state/containerd"
state = "/run/pylet/containerd"
[grpc]
  address = "/run/pylet/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$state/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pylet.local/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$conf/certs.d"
EOF

started() { [ -e "/run/pylet/$1.pid" ] && kill -0 "$(cat "/run/pylet/$1.pid")" 2>/dev/null; }

# Without systemd: the same programs in the background. start NAME COMMAND…
start_plain() {
    name=$1; shift
    started "$name" && { kill "$(cat "/run/pylet/$name.pid")"; while started "$name"; do sleep 0.1; done; }
    setsid "$@" >> "/var/log/pylet/$name.log" 2>&1 < /dev/null &
    echo $! > "/run/pylet/$name.pid"
}

wait_for() { # WHAT SECONDS COMMAND…
    what=$1 left=$(($2 * 5)); shift 2
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || die "$what did not come up; look at $log"
        sleep 0.2
    done
}

[ -n "$start" ] || { say "installed; not started"; exit 0; }
mkdir -p /run/pylet /var/log/pylet
if [ -d /run/systemd/system ]; then
    log="'journalctl -u pylet-$role'"
    cp "$here"/systemd/pylet-containerd.service "$here/systemd/pylet-$role.service" /etc/systemd/system/
    systemctl daemon-reload
    systemctl enable -q pylet-containerd "pylet-$role"
    systemctl restart pylet-containerd
else
    log="/var/log/pylet/$role.log"
    started containerd || start_plain containerd containerd --config "$conf/containerd.toml"
fi
ctr="ctr --address /run/pylet/containerd.sock"
wait_for containerd 30 $ctr version
pylet image build-pause | $ctr -n k8s.io images import - >/dev/null
[ -z "$demo" ] || pylet image build-demo | $ctr -n k8s.io images import - >/dev/null
if [ -n "$airgap" ]; then
    for archive in "$airgap"/*.tar; do
        [ -e "$archive" ] && $ctr -n k8s.io images import "$archive" >/dev/null
    done
fi
if [ -d /run/systemd/system ]; then
    systemctl restart "pylet-$role"
    stop="systemctl stop pylet-$role"
else
    (set -a; . "$env_file"; set +a; start_plain "$role" pylet "$role")
    stop="kill \$(cat /run/pylet/$role.pid)"
fi
node=$(sed -n 's/^PYLET_NODE_NAME=//p' "$env_file")
kubeconfig=$conf/pylet.yaml
[ "$role" = server ] || kubeconfig=$state/agent/kubelet.kubeconfig
wait_for "the node" 90 pylet status --ready --kubeconfig "$kubeconfig" ${node:+--node "$node"}
say "this machine runs a node. Log: $log. Stop: $stop (pods go on running). Remove: pylet uninstall"
[ "$role" = agent ] || say "try: KUBECONFIG=$conf/pylet.yaml kubectl get nodes; more nodes: pylet token create"
