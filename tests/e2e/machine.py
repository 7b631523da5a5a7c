"""Machines to install on: this one, seen through a mount namespace of its own, so that nothing of it changes.

What install.sh writes goes into overlays below one directory; the network is a member of a `Lab`. With systemd it is
a container that boots, without it a namespace that a sleeping process holds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster import REPO, eventually
from tests.netns import Member

_CONTROLLERS = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
# Written by install.sh; and pylet's own data, on a plain file system because overlays cannot lie on overlays.
_LAYERED = ("etc", "opt", "usr/local", "var/log")
_PLAIN = ("var/lib/pylet", "var/lib/cni", "run")
_HOLD = """
set -e
mount --make-rprivate /
for d in {layered}; do
    mkdir -p {top}/$d.new {top}/$d.work
    mount -t overlay -o lowerdir=/$d,upperdir={top}/$d.new,workdir={top}/$d.work overlay /$d
done
for d in {plain}; do mkdir -p /$d {top}/$d && mount --bind {top}/$d /$d; done
mount --make-rshared /
echo ready
exec sleep infinity
"""


@dataclass(frozen=True)
class Machine:
    """`pid` is a process inside; commands enter its mounts and its network, and with systemd all else."""

    pid: int
    enter: str

    def run(self, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Both streams in `stdout`."""
        environ = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        return subprocess.run(
            ["nsenter", f"--target={self.pid}", *self.enter.split(), "--", *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, env=environ,
        )  # fmt: skip

    def out(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def tasks(self) -> list[str]:
        """The containers that run, each with its process."""
        listed = self.out("ctr", "--address", "/run/pylet/containerd.sock", "-n", "k8s.io", "tasks", "ls")
        return sorted(line for line in listed.splitlines() if "RUNNING" in line)

    def left(self) -> list[str]:
        """What of pylet is on the machine: files, rules, links, mounts, network namespaces, processes."""
        script = """
            ls -d /var/lib/pylet/* /etc/pylet /opt/pylet /usr/local/bin/pylet /run/pylet /var/log/pylet \
                /etc/cni/net.d/*pylet* /var/lib/cni/* /run/netns/* /etc/systemd/system/pylet-* \
                /etc/systemd/system/*/pylet-* 2>/dev/null
            nft list tables | grep pylet
            ip -br link | grep -E 'pylet|veth'
            ip -br address show lo | grep 10.43
            grep -E '(/run/pylet|/var/lib/pylet)/' /proc/mounts
            true
        """
        return self.out("sh", "-c", script).split("\n")[:-1]


def wheels(directory: Path) -> Path:
    """What `install.sh --make-airgap` makes, less the distribution's packages: tests run where those are."""
    directory.mkdir(exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "-w", str(directory), str(REPO)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return directory


@contextmanager
def plain_machine(top: Path, member: Member) -> Iterator[Machine]:
    """No systemd: install.sh starts programs in the background. What it leaves behind is ended."""
    script = _HOLD.format(top=top, layered=" ".join(_LAYERED), plain=" ".join(_PLAIN))
    holder = subprocess.Popen(
        member.argv("unshare", "--mount", "sh", "-c", script), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        yield Machine(holder.pid, "--mount --net")
    finally:
        for name in ("server", "agent", "containerd"):
            file = top / "run" / "pylet" / f"{name}.pid"
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        holder.kill()
        holder.wait()
        holder.stdout.close()


def _removed(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        Path(folder).rmdir()
    return True


@contextmanager
def systemd_machine(top: Path, member: Member) -> Iterator[Machine]:
    """systemd as process 1, in an overlay of this machine's root."""
    name = member.name
    root = top / "root"
    for folder in ("root", "new", "work", *_PLAIN[:2]):
        (top / folder).mkdir(parents=True)
    layers = f"lowerdir=/,upperdir={top}/new,workdir={top}/work"
    subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", str(root)], check=True)
    groups = [Path("/sys/fs/cgroup", controller, name) for controller in _CONTROLLERS]
    groups = [group for group in groups if group.parent.is_dir()]
    enter = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
    boot = (
        f"{enter}exec systemd-nspawn --quiet --register=no --keep-unit --boot --capability=all"
        " --system-call-filter='@keyring bpf'"
        f" --directory={root} --machine={name} --network-namespace-path={member.path}"
        f" --bind={top}/var/lib/pylet:/var/lib/pylet --bind-ro={REPO}:{REPO} --bind-ro={top}/airgap:{top}/airgap"
    )
    environ = os.environ | {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}
    if groups:
        environ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "0"
    for group in groups:
        group.mkdir()
        if group.parent.name == "cpuset":
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((group.parent / file).read_text())
    (root / "etc/machine-id").write_text("")
    shutil.rmtree(root / "etc/systemd/system/multi-user.target.wants", ignore_errors=True)  # this machine's services
    with (top / "boot.log").open("wb") as log:
        nspawn = subprocess.Popen(
            ["sh", "-c", boot], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
        )
    try:

        def booted() -> Machine | None:
            # The first child while it starts is another process than the one that becomes systemd.
            for child in Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split():
                found = Machine(int(child), "--mount --net --pid --ipc --uts --cgroup")
                if found.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
                    return found
            return None

        machine = eventually("systemd is up", booted)
        # nspawn shows the controllers read-only, real machines do not
        machine.out(
            "sh", "-c",
            "for m in $(grep ' cgroup ro,' /proc/mounts | cut -d' ' -f2); do mount -o remount,bind,rw $m; done",
        )  # fmt: skip
        yield machine
    finally:
        nspawn.terminate()
        try:
            nspawn.wait(20)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait()
        subprocess.run(["umount", "--lazy", str(root)], check=False)
        eventually("its control groups are empty", lambda: all(map(_removed, groups)))
