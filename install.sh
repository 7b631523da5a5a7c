#!/bin/sh
# Installs pylet on a Debian machine and starts it, with systemd or without.
#
#   ./install.sh                                            a server that is a node, too
#   ./install.sh agent --server https://HOST:6443 --token K10…   one more node
#   ./install.sh [server|agent] [--FLAG VALUE …]            any flag of `pylet server` or `pylet agent`
#   ./install.sh --make-airgap DIR                          all that a machine without internet needs, into DIR
#
# Run again, from a newer clone, to upgrade: pods go on running. Flags are kept in /etc/pylet/<role>.env and survive
# that; a flag given again replaces its old value, and --FLAG= takes it back.
#   --demo-image     also load the image of examples/hello.yaml (built here, no registry needed)
#   --airgap DIR     download nothing: take all packages from DIR, and import the image archives (*.tar) there
#   --no-start       install only
set -eu

say() { echo "install.sh: $*"; }
die() { echo "install.sh: $*" >&2; exit 2; }   # what was asked for cannot be
fail() { echo "install.sh: $*" >&2; exit 1; }  # it was tried

here=$(cd "$(dirname "$0")" && pwd)
prefix=/opt/pylet conf=/etc/pylet state=/var/lib/pylet run=/run/pylet
packages="containerd runc nftables containernetworking-plugins conntrack busybox-static iproute2 haproxy python3-venv"
role=server demo="" airgap="" make_airgap="" start=yes bare=""
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
settings=$scratch/settings
: > "$settings"

# --- what is asked for: --node-name x, --node-name=x and --disable-agent become PYLET_NODE_NAME=x, PYLET_DISABLE_AGENT=true
case "${1:-}" in server|agent) role=$1; shift ;; esac
while [ $# -gt 0 ]; do
    case $1 in
        -h|--help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --demo-image) demo=yes; shift; continue ;;
        --no-start) start=""; shift; continue ;;
        --airgap) [ $# -gt 1 ] || die "--airgap needs a directory"; airgap=$2; shift 2; continue ;;
        --make-airgap) [ $# -gt 1 ] || die "--make-airgap needs a directory"; make_airgap=$2; shift 2; continue ;;
        --*=*) flag=${1%%=*}; value=${1#*=}; shift ;;
        --*) flag=$1; shift
             if [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; then value=$1; shift; else value=true; bare="$bare $flag"; fi ;;
        *) die "unexpected argument '$1': flags begin with --; see ./install.sh --help" ;;
    esac
    case $value in *[!]A-Za-z0-9_.,:=/@%+[-]*)
        die "$flag: a settings file cannot hold '$value': put it into $conf/config.yaml instead" ;;
    esac
    name=PYLET_$(echo "${flag#--}" | tr 'a-z-' 'A-Z_')
    earlier=$(sed -n "s/^$name=//p" "$settings")
    sed -i "/^$name=/d" "$settings"
    echo "$name=${earlier:+$earlier,}$value" >> "$settings"
done

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed'; }

# --- the directory for machines without internet
if [ -n "$make_airgap" ]; then
    mkdir -p "$make_airgap"
    make_airgap=$(cd "$make_airgap" && pwd)
    rm -f "$make_airgap"/pylet-*.whl
    python3 -m venv "$scratch/venv" || fail "install the package python3-venv first"
    "$scratch/venv/bin/python" -m pip wheel -q --disable-pip-version-check -w "$make_airgap" "$here" \
        || fail "the Python packages could not be had: is the index reachable?"
    if command -v apt-get >/dev/null; then
        # With nothing called installed, apt fetches everything that the packages need on any machine.
        mkdir -p "$scratch/apt/partial"
        : > "$scratch/status"
        apt-get install -q -y --no-install-recommends --download-only -o "Dir::State::status=$scratch/status" \
            -o "Dir::Cache::archives=$scratch/apt" -o Debug::NoLocking=1 -o APT::Sandbox::User=root $packages >/dev/null \
            || fail "the packages could not be had: run 'apt-get update' first"
        rm -f "$make_airgap"/*.deb
        cp "$scratch"/apt/*.deb "$make_airgap"
        for file in "$make_airgap"/*.deb; do  # what apt reads of a repository
            dpkg-deb -f "$file"
            echo "Filename: ./${file##*/}"
            echo "Size: $(stat -c %s "$file")"
            echo "SHA256: $(sha256sum < "$file" | cut -d' ' -f1)"
            echo
        done > "$make_airgap/Packages"
    fi
    say "$make_airgap has packages for $(uname -m); put image archives (*.tar) there, too, then: ./install.sh --airgap DIR"
    exit 0
fi

[ "$(id -u)" = 0 ] || die "must run as root (containers, networks and cgroups need it)"
command -v apt-get >/dev/null || die "this machine has no apt-get: install containerd, runc, nftables, the CNI plugins, \
conntrack, busybox-static and python3-venv by hand, then run 'pip install $here'"
[ -z "$airgap" ] || [ -d "$airgap" ] || die "--airgap: $airgap is not a directory"
if [ -n "$airgap" ]; then airgap=$(realpath "$airgap"); elif [ -d "$(cat $conf/airgap 2>/dev/null)" ]; then airgap=$(cat $conf/airgap); fi
other=agent; [ "$role" = server ] || other=server
[ ! -e "$conf/$other.env" ] || die "this machine is set up as pylet $other: run 'pylet uninstall --purge' first"

# --- the distribution's packages
missing=""
for package in $packages; do installed "$package" || missing="$missing $package"; done
if [ -n "$missing" ]; then
    say "installing$missing"
    if [ -n "$airgap" ]; then
        [ -e "$airgap/Packages" ] || die "--airgap: $airgap has no packages (make it with --make-airgap DIR), and these are missing:$missing"
        # Spaces would end the line's address; apt reads nothing but this repository.
        mkdir -p "$scratch/lists/partial"
        ln -s "$airgap" "$scratch/repository"
        echo "deb [trusted=yes] file:$scratch/repository ./" > "$scratch/sources.list"
        set -- -o "Dir::Etc::sourcelist=$scratch/sources.list" -o Dir::Etc::sourceparts=- \
            -o "Dir::State::lists=$scratch/lists" -o APT::Sandbox::User=root
    else
        set --
    fi
    apt-get "$@" update -q >"$scratch/apt.log" 2>&1 || true  # an old list may do: the next line says when it does not
    DEBIAN_FRONTEND=noninteractive apt-get "$@" install -q -y --no-install-recommends $missing >>"$scratch/apt.log" 2>&1 \
        || { grep '^E:' "$scratch/apt.log" >&2 || true; fail "apt-get could not install$missing"; }
    # The distribution's own instance is not needed beside pylet's when nothing used it before.
    for unit in containerd haproxy; do
        case "$missing" in *$unit*) [ -d /run/systemd/system ] && systemctl disable -q --now $unit 2>/dev/null || true ;; esac
    done
fi

# --- pylet itself, in a directory of its own for each version: a run that is cut off leaves the one in use as it was
source=$here
set --
if [ -n "$airgap" ]; then
    set -- --no-index --find-links "$airgap"
    for file in "$airgap"/pylet-*.whl; do [ ! -e "$file" ] || source=$file; done
fi
# What building writes into the clone says nothing about its version.
if [ -d "$source" ]; then
    contents() { cd "$source" && find pyproject.toml hatch_build.py pylet -type f ! -name '*.pyc' ! -name '*.json.gz' -exec sha256sum {} +; }
else
    contents() { sha256sum < "$source"; }
fi
id=$({ python3 --version; contents | sort; } | sha256sum | cut -c1-12)
home=$prefix/$id
if [ ! -e "$home/.complete" ]; then
    say "installing pylet into $home"
    rm -rf "$home"
    python3 -m venv "$home"
    "$home/bin/python" -m pip install -q --disable-pip-version-check "$@" "$source" >"$scratch/pip.log" 2>&1 || {
        rm -rf "$home"
        grep '^ *ERROR:' "$scratch/pip.log" >&2 || cat "$scratch/pip.log" >&2
        fail "pip could not install pylet: is the Python package index reachable? for a machine without it: --airgap DIR"
    }
    touch "$home/.complete"
fi

# --- settings: checked before anything is replaced or started, so that a wrong one is said here, not in a log
"$home/bin/pylet" "$role" --help > "$scratch/help"
while IFS='=' read -r name value; do
    flag=--$(echo "${name#PYLET_}" | tr 'A-Z_' 'a-z-')
    grep -q -e "$flag\( \|$\)" "$scratch/help" || die "$flag: pylet $role has no such flag; see pylet $role --help"
    case "$bare " in *" $flag "*)
        grep -q -e "$flag \[BOOL\]" "$scratch/help" || die "$flag needs a value" ;;
    esac
done < "$settings"
mkdir -p "$conf" "$state"
chmod 700 "$state"
[ -z "$airgap" ] || echo "$airgap" > "$conf/airgap"  # a later run needs no flag
env_file=$conf/$role.env
(umask 077; cat "$env_file" > "$scratch/env" 2>/dev/null || : > "$scratch/env")
while IFS= read -r line; do
    sed -i "/^${line%%=*}=/d" "$scratch/env"
    [ -z "${line#*=}" ] || echo "$line" >> "$scratch/env"
done < "$settings"
grep -q '^PYLET_CONTAINER_RUNTIME_ENDPOINT=' "$scratch/env" \
    || echo "PYLET_CONTAINER_RUNTIME_ENDPOINT=unix://$run/containerd.sock" >> "$scratch/env"
(set -a; . "$scratch/env"; set +a; "$home/bin/pylet" check-config --role "$role") > "$scratch/findings" \
    || { grep -v '^ok' "$scratch/findings" >&2; die "fix what was said above, then run this again"; }
cp "$scratch/env" "$env_file.new" && chmod 600 "$env_file.new" && mv "$env_file.new" "$env_file"

ln -sfn "$home/bin/pylet" "$scratch/link"
mv -T "$scratch/link" /usr/local/bin/pylet

# A network of one's own (--network-backend none) may keep its plugins elsewhere; it builds on those that all have.
told() { sed -n "s/^PYLET_$1=//p" "$scratch/env"; }
bin_dir=$(told CNI_BIN_DIR) conf_dir=$(told CNI_CONF_DIR)
bin_dir=${bin_dir:-/usr/lib/cni}
mkdir -p "$bin_dir"
for plugin in /usr/lib/cni/*; do
    [ -e "$bin_dir/${plugin##*/}" ] || cp -p "$plugin" "$bin_dir/"
done
cat > "$scratch/containerd.toml" <<EOT
# Written by install.sh: the containerd that belongs to pylet.
version = 2
root = "$state/containerd"
state = "$run/containerd"
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$state/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pylet.local/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$bin_dir"
    conf_dir = "${conf_dir:-/etc/cni/net.d}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$conf/certs.d"
EOT
kubelet_config=$(told KUBELET_CONFIG) drop_ins=$(told KUBELET_CONFIG_DIR)
if grep -Eqrs '^[^#]*cgroupDriver"?: *"?systemd' "${kubelet_config:-/dev/null}" "${drop_ins:-/dev/null}"; then
    cat >> "$scratch/containerd.toml" <<EOT
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
EOT
fi
changed=""
cmp -s "$scratch/containerd.toml" "$conf/containerd.toml" || { changed=yes; cp "$scratch/containerd.toml" "$conf/containerd.toml"; }

# --- the two ways to run things: systemd, or the same programs in the background
if [ -d /run/systemd/system ]; then
    log="journalctl -u pylet-$role" stop="systemctl stop pylet-$role"
    for unit in pylet-containerd "pylet-$role"; do
        cmp -s "$here/systemd/$unit.service" "/etc/systemd/system/$unit.service" && continue
        [ "$unit" != pylet-containerd ] || changed=yes
        cp "$here/systemd/$unit.service" /etc/systemd/system/
    done
    systemctl daemon-reload
    systemctl enable -q pylet-containerd "pylet-$role"
    is_running() { systemctl is-active -q "pylet-$1"; }
    has_ended() { case $(systemctl show -p SubState --value "pylet-$1") in auto-restart|failed) ;; *) false ;; esac; }
    launch() {
        systemctl stop "pylet-$1"
        systemctl reset-failed "pylet-$1" 2>/dev/null || true
        began=$(date +%s)
        systemctl start --no-block "pylet-$1"
    }
    logged() { journalctl --since "@$began" -u "pylet-$1" _SYSTEMD_UNIT="pylet-$1.service" -o cat --no-pager; }
else
    log=/var/log/pylet/$role.log stop="kill \$(cat $run/$role.pid)"
    is_running() { [ -e "$run/$1.pid" ] && kill -0 "$(cat "$run/$1.pid")" 2>/dev/null; }
    has_ended() { ! is_running "$1"; }
    launch() {
        if is_running "$1"; then
            kill "$(cat "$run/$1.pid")"
            while is_running "$1"; do sleep 0.1; done
        fi
        if [ "$1" = containerd ]; then set -- "$1" containerd --config "$conf/containerd.toml"; else set -- "$1" pylet "$1"; fi
        name=$1; shift
        touch "/var/log/pylet/$name.log"
        began=$(stat -c %s "/var/log/pylet/$name.log")
        (set -a; . "$env_file"; set +a; exec setsid "$@" >> "/var/log/pylet/$name.log" 2>&1 < /dev/null) &
        echo $! > "$run/$name.pid"
    }
    logged() { tail -c "+$((began + 1))" "/var/log/pylet/$1.log"; }
fi

last_words() { # NAME: what it said of its end, else its last line
    logged "$1" > "$scratch/log"
    grep "^pylet $1: " "$scratch/log" | tail -1 | grep . || tail -1 "$scratch/log"
}

wait_for() { # NAME SECONDS COMMAND…
    name=$1 seconds=$2 left=$(($2 * 5)); shift 2
    until "$@" >"$scratch/seen" 2>&1; do
        left=$((left - 1))
        ! has_ended "$name" || fail "$(last_words "$name" | grep . || echo "$name has ended"); more in: $log"
        [ "$left" -gt 0 ] || fail "$name is not ready after $seconds s and goes on trying; last said: $(last_words "$name"); more in: $log"
        sleep 0.2
    done
}

[ -n "$start" ] || { say "installed; not started"; exit 0; }
mkdir -p "$run" /var/log/pylet
if [ -n "$changed" ] || ! is_running containerd; then launch containerd; fi
ctr="ctr --address $run/containerd.sock"
wait_for containerd 30 $ctr version
pylet image build-pause | $ctr -n k8s.io images import - >/dev/null
[ -z "$demo" ] || pylet image build-demo | $ctr -n k8s.io images import - >/dev/null
if [ -n "$airgap" ]; then
    for archive in "$airgap"/*.tar; do
        [ ! -e "$archive" ] || $ctr -n k8s.io images import "$archive" >/dev/null || fail "$archive could not be imported"
    done
fi
launch "$role"
wait_for "$role" 90 env -u KUBECONFIG pylet status --ready
sleep 2  # what was Ready before is still called so: a node that cannot start has ended by now
! has_ended "$role" || fail "$(last_words "$role"); more in: $log"
find "$prefix" -mindepth 1 -maxdepth 1 ! -name "$id" -exec rm -rf {} +
what="a node"
grep -q '^node ' "$scratch/seen" || what="a server without a node"
say "this machine runs $what. Log: $log. Stop: $stop (pods go on running). Remove: pylet uninstall"
[ "$role" = agent ] || say "try: pylet kubectl get nodes; another machine joins with what 'pylet token create' prints"
