"""What a WireGuard link is told and says of itself: the kernel's over generic netlink, wireguard-go's over its socket.

Sources: linux/wireguard.h, and the cross-platform configuration protocol of wireguard.com/xplatform.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Protocol

from pylet.agent import netlink
from pylet.agent.netlink import Netlink, attribute, attributes, nested, payloads
from pylet.agent.network.rtnetlink import Address, Network, family_of
from pylet.agent.network.wireguard import Remote, Tunnel

_CONTROL, _GET_FAMILY = 0x10, 3
_GET_DEVICE, _SET_DEVICE = 0, 1
_INDEX, _PRIVATE_KEY, _LISTEN_PORT, _PEERS = 1, 3, 6, 8
_PUBLIC_KEY, _FLAGS, _ENDPOINT, _KEEPALIVE, _ALLOWED = 1, 3, 4, 5, 9
_REMOVE, _REPLACE_ALLOWED = 1, 2
_COMMAND = struct.Struct("=BBxx")

_ANSWER_SECONDS = 5.0
_SOCKETS = Path("/var/run/wireguard")
"""Where wireguard-go insists on finding a socket of its link's name, and `wg` looks for it."""


class Device(Protocol):
    """Both methods raise OSError."""

    def read(self) -> Tunnel: ...

    def write(self, own: Tunnel | None, changes: Mapping[bytes, Remote | None]) -> None:
        """Take the key and the port of `own` where it is given, and change these remotes (None: it goes)."""
        ...


def bring(device: Device, wanted: Tunnel) -> None:
    """Make the device what is wanted; what is so already is left alone, and its sessions go on. Raises: OSError."""
    current = device.read()
    changes: dict[bytes, Remote | None] = dict.fromkeys(current.remotes.keys() - wanted.remotes.keys())
    changes |= {key: remote for key, remote in wanted.remotes.items() if current.remotes.get(key) != remote}
    is_same = (current.private, current.port) == (wanted.private, wanted.port)
    if changes or not is_same:
        device.write(None if is_same else wanted, changes)


class KernelDevice:
    """A link of kind wireguard."""

    def __init__(self, link: int) -> None:
        self._link = attribute(_INDEX, struct.pack("=I", link))

    def read(self) -> Tunnel:
        private, port = b"", 0
        endpoints: dict[bytes, tuple[Address, int]] = {}
        allowed: dict[bytes, set[Network]] = defaultdict(set)
        keepalive: dict[bytes, int] = {}
        with Netlink(netlink.GENERIC) as kernel:
            for message in kernel.dump(_family(kernel), _COMMAND.pack(_GET_DEVICE, 1) + self._link):
                values = attributes(message.body, _COMMAND.size)
                private = values.get(_PRIVATE_KEY, private)
                if _LISTEN_PORT in values:
                    port = struct.unpack("=H", values[_LISTEN_PORT])[0]
                for peer in map(attributes, payloads(values.get(_PEERS, b""))):  # one with much may go over several
                    key = peer[_PUBLIC_KEY]
                    allowed[key] |= set(map(_network, payloads(peer.get(_ALLOWED, b""))))
                    if _ENDPOINT in peer:
                        endpoints[key] = _endpoint(peer[_ENDPOINT])
                    if _KEEPALIVE in peer:
                        keepalive[key] = struct.unpack("=H", peer[_KEEPALIVE])[0]
        return Tunnel(private, port, _remotes(endpoints, allowed, keepalive))

    def write(self, own: Tunnel | None, changes: Mapping[bytes, Remote | None]) -> None:
        head = _COMMAND.pack(_SET_DEVICE, 1) + self._link
        with Netlink(netlink.GENERIC) as kernel:
            family = _family(kernel)
            if own is not None:
                port = attribute(_LISTEN_PORT, struct.pack("=H", own.port))
                kernel.call(family, head + attribute(_PRIVATE_KEY, own.private) + port)
            for key, remote in changes.items():
                kernel.call(family, head + nested(_PEERS, nested(0, *_peer(key, remote))))


def _family(kernel: Netlink) -> int:
    for message in kernel.dump(_CONTROL, _COMMAND.pack(_GET_FAMILY, 1)):
        values = attributes(message.body, _COMMAND.size)
        if values.get(2) == b"wireguard\0":
            return int(struct.unpack("=H", values[1])[0])
    raise OSError("the kernel has no WireGuard to talk to")


def _peer(key: bytes, remote: Remote | None) -> Iterator[bytes]:
    yield attribute(_PUBLIC_KEY, key)
    yield attribute(_FLAGS, struct.pack("=I", _REMOVE if remote is None else _REPLACE_ALLOWED))
    if remote is None:
        return
    if remote.endpoint is not None:
        address, port = remote.endpoint
        at = struct.pack("=H", family_of(address)) + struct.pack(">H", port)
        rest = address.packed + bytes(8) if address.version == 4 else bytes(4) + address.packed + bytes(4)
        yield attribute(_ENDPOINT, at + rest)
    yield attribute(_KEEPALIVE, struct.pack("=H", remote.keepalive_seconds))
    yield nested(_ALLOWED, *(
        nested(
            0,
            attribute(1, struct.pack("=H", family_of(network.network_address))),
            attribute(2, network.network_address.packed),
            attribute(3, bytes([network.prefixlen])),
        )
        for network in remote.allowed
    ))  # fmt: skip


def _endpoint(packed: bytes) -> tuple[Address, int]:
    family, port = struct.unpack_from("=H", packed)[0], struct.unpack_from(">H", packed, 2)[0]
    return ip_address(packed[4:8] if family == socket.AF_INET else packed[8:24]), port


def _network(data: bytes) -> Network:
    values = attributes(data)
    return ip_network((values[2], values[3][0]))


class UserDevice:
    """A wireguard-go, started by `start` now or at an earlier run of the agent: it outlives that."""

    def __init__(self, link: str, directory: Path) -> None:
        self._name = link
        self._socket = directory / f"{link}.sock"
        self._errors = directory / f"{link}.err"

    def answers(self) -> bool:
        try:
            self._said("get=1")
        except OSError:
            return False
        return True

    def start(self) -> None:
        """Raises: OSError."""
        program = shutil.which("wireguard-go")
        if program is None:
            raise OSError("this kernel has no WireGuard: install wireguard-go, or choose another --network-backend")
        self._socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listening, self._errors.open("w") as errors:
            listening.bind(str(self._socket))
            listening.listen()
            _SOCKETS.mkdir(mode=0o700, exist_ok=True)
            shown = _SOCKETS / f".{self._name}.{self._socket.stat().st_ino}"
            shown.symlink_to(self._socket)
            shown.rename(_SOCKETS / f"{self._name}.sock")
            inherited = listening.fileno()
            process = subprocess.Popen(
                [program, "--foreground", self._name],
                env={**os.environ, "WG_UAPI_FD": str(inherited)}, pass_fds=(inherited,), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            )  # fmt: skip
        try:
            self._said("get=1")
        except OSError as failed:
            process.kill()
            process.wait()
            said = self._errors.read_text().strip().splitlines()
            raise OSError(f"wireguard-go does not start: {said[-1] if said else failed}") from failed

    def read(self) -> Tunnel:
        private, port, key = b"", 0, b""
        endpoints: dict[bytes, tuple[Address, int]] = {}
        allowed: dict[bytes, set[Network]] = {}
        keepalive: dict[bytes, int] = {}
        for line in self._said("get=1").splitlines():
            name, _, value = line.partition("=")
            match name:
                case "private_key":
                    private = bytes.fromhex(value)
                case "listen_port":
                    port = int(value)
                case "public_key":
                    key = bytes.fromhex(value)
                    allowed[key] = set()
                case "endpoint":
                    host, _, number = value.rpartition(":")
                    endpoints[key] = ip_address(host.strip("[]")), int(number)
                case "persistent_keepalive_interval":
                    keepalive[key] = int(value)
                case "allowed_ip":
                    allowed[key].add(ip_network(value))
        return Tunnel(private, port, _remotes(endpoints, allowed, keepalive))

    def write(self, own: Tunnel | None, changes: Mapping[bytes, Remote | None]) -> None:
        lines = ["set=1"]
        if own is not None:
            lines += [f"private_key={own.private.hex()}", f"listen_port={own.port}"]
        for key, remote in changes.items():
            lines += [f"public_key={key.hex()}", "remove=true" if remote is None else "replace_allowed_ips=true"]
            if remote is not None:
                if remote.endpoint is not None:
                    address, port = remote.endpoint
                    host = f"[{address}]" if address.version == 6 else address
                    lines.append(f"endpoint={host}:{port}")
                lines.append(f"persistent_keepalive_interval={remote.keepalive_seconds}")
                lines += [f"allowed_ip={network}" for network in remote.allowed]
        self._said("\n".join(lines))

    def _said(self, request: str) -> str:
        """Raises: OSError."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(self._socket))
            connection.sendall(f"{request}\n\n".encode())
            said = b""
            while not said.endswith(b"\n\n") and (more := connection.recv(1 << 16)):
                said += more
        answer, _, error = said.decode().rpartition("errno=")
        if error.strip() != "0":
            raise OSError(f"{self._name}: wireguard-go refuses with errno {error.strip() or 'none'}")
        return answer


def _remotes(
    endpoints: Mapping[bytes, tuple[Address, int]],
    allowed: Mapping[bytes, set[Network]],
    keepalive: Mapping[bytes, int],
) -> dict[bytes, Remote]:
    return {
        key: Remote(endpoints.get(key), frozenset(networks), keepalive.get(key, 0)) for key, networks in allowed.items()
    }
