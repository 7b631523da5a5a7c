"""A small lab of network namespaces: nodes on one link, and nothing that leads out of it.

    with Lab(nodes=2, client=True) as lab:
        one, two = lab.nodes
        one.run("busybox", "ping", "-c1", two.ip)

Every member has one interface, `eth0`, into a bridge that lives in a namespace of its own (the "switch"), so that the
machine's own network never sees a packet, a bridge or a rule. Commands are entered with `nsenter --net`, never with
`ip netns exec`: that one remounts /sys, and containerd then finds no cgroups.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pytest

_CLONE_NEWNET = 0x40000000
_serial = itertools.count(1)

needs_netns = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None,
    reason="network namespaces need root, ip and nsenter",
)
"""Marks a test (or, as `pytestmark`, a module) that builds a lab."""


@dataclass(frozen=True)
class Member:
    """One namespace of the lab and its addresses on the lab's link."""

    name: str
    ip: str
    ip6: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list, repr=False, compare=False)

    @property
    def path(self) -> Path:
        return Path("/run/netns", self.name)

    def argv(self, *command: str) -> list[str]:
        """The command line that runs `command` in this namespace (for callers with a spawn of their own)."""
        return ["nsenter", f"--net={self.path}", "--", *command]

    def run(
        self, *command: str, stdin: str | None = None, check: bool = True, timeout: float = 30, warnings: bool = True
    ) -> str:
        """Run to the end and return what it printed; a failure raises with that text. Without `warnings` it is the
        standard output alone, for what is parsed."""
        done = subprocess.run(
            self.argv(*command),
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if warnings else subprocess.PIPE,
            timeout=timeout,
        )
        if check and done.returncode:
            said = f"{done.stdout}{done.stderr or ''}"
            raise AssertionError(f"{self.name}: {' '.join(command)}: exit {done.returncode}\n{said}")
        return done.stdout

    def start(self, *command: str, stdout: IO[str] | int = subprocess.DEVNULL, **options: Any) -> subprocess.Popen[str]:
        """Start a process that the lab ends at the latest when it closes; its output is dropped unless told."""
        process = subprocess.Popen(
            self.argv(*command), stdout=stdout, stderr=subprocess.STDOUT, text=True, start_new_session=True, **options
        )
        self.processes.append(process)
        return process

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread into this namespace: sockets opened inside stay there for good."""
        with open("/proc/thread-self/ns/net") as home, open(self.path) as there:
            _setns(there.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())


class Lab:
    """Namespaces for `nodes` nodes and perhaps a client outside the cluster, all on 10.77.0.0/24 and fd77::/64.

    With `gateway` the switch answers at 10.77.0.1 and is everybody's default route: a route to nowhere, for code that
    wants to see one.
    """

    GATEWAY = "10.77.0.1"
    GATEWAY6 = "fd77::1"

    def __init__(self, *, nodes: int = 2, client: bool = False, gateway: bool = False) -> None:
        prefix = f"pylet-{os.getpid()}-{next(_serial)}"
        self.switch = Member(f"{prefix}-switch", self.GATEWAY, self.GATEWAY6)
        self.nodes = [Member(f"{prefix}-node{n}", f"10.77.0.{10 + n}", f"fd77::{10 + n}") for n in range(1, nodes + 1)]
        self.client = Member(f"{prefix}-client", "10.77.0.200", "fd77::200") if client else None
        self._pods: list[Member] = []
        self._gateway = gateway

    @property
    def members(self) -> list[Member]:
        """Everybody with an address on the link."""
        return [*self.nodes, *([self.client] if self.client else [])]

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def pod(self, node: Member, address: str, address6: str = "", *, bridge: str = "pylet0") -> Member:
        """A namespace behind a bridge of the node, as CNI's bridge plugin makes it: a /24 whose .1 is the bridge, and
        perhaps a /64 whose ::1 is."""
        gateway = address.rsplit(".", 1)[0] + ".1"
        pod = Member(f"{node.name}-{address}", address, address6)
        self._pods.append(pod)
        if f" {bridge}:" not in _ip("-n", node.name, "-o", "link"):
            _ip("-n", node.name, "link", "add", bridge, "type", "bridge", "forward_delay", "0")
        if gateway not in _ip("-n", node.name, "address", "show", "dev", bridge):
            _ip("-n", node.name, "address", "add", f"{gateway}/24", "dev", bridge)
        _ip("-n", node.name, "link", "set", bridge, "up")
        _ip("netns", "add", pod.name)
        port = f"pod{len(self._pods)}"
        _ip("-n", node.name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", pod.name)
        _ip("-n", node.name, "link", "set", port, "master", bridge, "up")
        _ip("-n", node.name, "link", "set", port, "type", "bridge_slave", "hairpin", "on")
        _ip("-n", pod.name, "link", "set", "lo", "up")
        _ip("-n", pod.name, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", pod.name, "link", "set", "eth0", "up")
        _ip("-n", pod.name, "route", "add", "default", "via", gateway)
        if address6:
            gateway = address6.rpartition("::")[0] + "::1"
            _ip("-n", node.name, "address", "replace", f"{gateway}/64", "dev", bridge, "nodad")
            _ip("-n", pod.name, "address", "add", f"{address6}/64", "dev", "eth0", "nodad")
            _ip("-n", pod.name, "route", "add", "default", "via", gateway)
        return pod

    def unplug(self, member: Member) -> None:
        """Take the member's cable out: it keeps its interface, which reports no carrier."""
        self._port(member, "down")

    def plug(self, member: Member) -> None:
        self._port(member, "up")

    def close(self) -> None:
        """End what was started through `start`, and remove every namespace; safe to call twice."""
        for member in (*self._pods, *self.members, self.switch):
            for process in member.processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
                if process.stdout:
                    process.stdout.close()
            member.processes.clear()
            if member.path.exists():
                _ip("netns", "del", member.name)

    def _build(self) -> None:
        for member in (self.switch, *self.members):
            _ip("netns", "add", member.name)
            _ip("-n", member.name, "link", "set", "lo", "up")
        _ip("-n", self.switch.name, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        _ip("-n", self.switch.name, "link", "set", "br0", "up")
        for index, member in enumerate(self.members):
            cable = ("type", "veth", "peer", "name", "eth0", "netns", member.name)
            _ip("-n", self.switch.name, "link", "add", f"port{index}", *cable)
            _ip("-n", self.switch.name, "link", "set", f"port{index}", "master", "br0", "up")
            _join(member, "eth0")
        if self._gateway:
            _join(self.switch, "br0")
            for member in self.members:
                _ip("-n", member.name, "route", "add", "default", "via", self.GATEWAY)
                _ip("-n", member.name, "-6", "route", "add", "default", "via", self.GATEWAY6)

    def _port(self, member: Member, state: str) -> None:
        _ip("-n", self.switch.name, "link", "set", f"port{self.members.index(member)}", state)


def _join(member: Member, interface: str) -> None:
    _ip("-n", member.name, "address", "add", f"{member.ip}/24", "dev", interface)
    _ip("-n", member.name, "address", "add", f"{member.ip6}/64", "dev", interface, "nodad")
    _ip("-n", member.name, "link", "set", interface, "up")


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], text=True, capture_output=True)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _setns(descriptor: int) -> None:
    # os.setns came with Python 3.12
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")
