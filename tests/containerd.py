"""A private containerd for tests: own root, state, socket, runc root and CNI configuration under one directory.

It knows nothing of pylet but the image builder. Several may run at once, each in a network namespace of its own; they
share the cgroup tree, so each user gives its pods a cgroup prefix of their own. Nothing it started outlives `stop()`.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pylet.agent import image_archive

BUSYBOX = Path("/bin/busybox")
CNI_BIN = Path("/usr/lib/cni")
_START_SECONDS = 120

_CONFIG = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_bin}"
    conf_dir = "{cni_conf}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{directory}/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{directory}/runc"
      SystemdCgroup = {by_systemd}
"""

# Addresses stay inside the network namespace: `ptp` makes one veth per pod, `host-local` hands out its addresses.
_PTP = """\
{{"cniVersion": "0.4.0", "name": "test", "plugins": [
  {{"type": "ptp", "ipMasq": false,
    "ipam": {{"type": "host-local", "dataDir": "{directory}/ipam", "ranges": [[{{"subnet": "{subnet}"}}]],
             "routes": [{{"dst": "0.0.0.0/0"}}]}}}}]}}
"""


class Netns:
    """A network namespace with loopback up and no way out."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> "Netns":
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


class ContainerdProcess:
    """`cni_conf` is a directory of CNI configuration; without one it is made when `write_ptp_cni` is called."""

    def __init__(self, directory: Path, netns: str | None = None, cni_conf: Path | None = None) -> None:
        self.directory = directory
        self.netns = netns
        self.cni_conf = cni_conf or directory / "cni"
        self.socket = directory / "containerd.sock"
        self.log = directory / "containerd.log"
        self.by_systemd = False
        """Who makes the containers' cgroups."""
        self.process: subprocess.Popen[bytes] | None = None

    def write_ptp_cni(self, subnet: str = "10.213.0.0/24") -> None:
        """Pods get addresses that only this network namespace reaches. Use it inside a `Netns` alone."""
        (self.cni_conf / "10-test.conflist").write_text(_PTP.format(directory=self.directory, subnet=subnet))

    def start(self) -> None:
        """Start it, or start it again after `kill()`: running containers are taken over."""
        self.cni_conf.mkdir(parents=True, exist_ok=True)
        config = self.directory / "config.toml"
        config.write_text(
            _CONFIG.format(
                directory=self.directory,
                socket=self.socket,
                pause=image_archive.PAUSE_REFERENCE,
                cni_bin=CNI_BIN,
                cni_conf=self.cni_conf,
                by_systemd=str(self.by_systemd).lower(),
            )
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.enter(), "containerd", "--config", str(config)], stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._ctr("version").returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"containerd did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def enter(self) -> list[str]:
        """The command prefix that enters its network namespace. `ip netns exec` would hide the cgroup mounts."""
        return ["nsenter", f"--net=/run/netns/{self.netns}", "--"] if self.netns else []

    def load(self, *images: image_archive.Image) -> None:
        """Import `images`, by default the sandbox image and busybox."""
        binary = BUSYBOX.read_bytes()
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, check=True, text=True).stdout.split()
        images = images or (image_archive.pause_image(binary), image_archive.busybox_image(binary, applets))
        done = self._ctr("images", "import", "-", data=image_archive.archive(*images))
        if done.returncode:
            raise RuntimeError(f"image import failed: {done.stderr.decode()}")

    def kill(self) -> None:
        """SIGKILL containerd alone; its containers keep running."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Stop containerd, every shim it started and all inside them, and release the mounts below `directory`."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        for shim in self._shims():
            for pid in (*_descendants(shim), shim):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for mount in _mounts_below(self.directory):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)

    def _ctr(self, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["ctr", "--address", str(self.socket), "--connect-timeout", "5s", "--namespace", "k8s.io", *arguments]
        return subprocess.run(command, input=data, capture_output=True, check=False)

    def _shims(self) -> Iterator[int]:
        address = str(self.socket).encode()
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit():
                    arguments = (entry / "cmdline").read_bytes().split(b"\0")
                    if arguments[0].endswith(b"containerd-shim-runc-v2") and address in arguments:
                        yield int(entry.name)


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _descendants(int(child))
            yield int(child)


def _mounts_below(directory: Path) -> list[str]:
    """Mount points, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{directory}/")), key=len, reverse=True)
