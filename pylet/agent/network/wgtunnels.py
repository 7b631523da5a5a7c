"""This node's WireGuard tunnels: its keys on disk and on the Node, its links and the ways through them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from errno import EOPNOTSUPP
from pathlib import Path

from pylet.agent.netlink import NetlinkError
from pylet.agent.network import wgdevice, wireguard
from pylet.agent.network.overlay import Wanted, peers, ranges
from pylet.agent.network.rtnetlink import Link, Network, Rtnetlink
from pylet.agent.network.wgdevice import KernelDevice, UserDevice
from pylet.aio.clock import Clock
from pylet.api.object import Object, annotations_of


class Tunnels:
    """Everything is read anew each time: from the disk, the table and the kernel. Raises: OSError."""

    def __init__(self, directory: Path, clock: Clock, node_name: str) -> None:
        self._directory = directory
        self._clock = clock
        self._node_name = node_name
        self.links: set[int] = set()
        self._annotation = ""

    def connect(self, kernel: Rtnetlink, nodes: Iterable[Object], family: int, mtu: int) -> Wanted:
        """Make the links of the keys that the Node has published, and tell them their peers."""
        now = self._clock.now()
        by_name = {node["metadata"]["name"]: node for node in nodes}
        own = by_name[self._node_name]
        said = {name: wireguard.published(node) for name, node in by_name.items()}
        others = [(peer, said[peer.name]) for peer in peers(by_name.values(), self._node_name)]
        private = self._keys()
        public = {period: _public(key) for period, key in private.items()}
        running = {period for period, key in said[self._node_name].items() if public.get(period) == key}
        greeted = wireguard.greeted(self._node_name, others, running, now)
        indices = {}
        for period in running:
            name = wireguard.link_of(period)
            link = self._link(kernel, name, ranges(own), mtu)
            device = KernelDevice(link.index) if link.kind == "wireguard" else UserDevice(name, self._directory)
            wgdevice.bring(device, wireguard.tunnel(period, private[period], others, family, greeted))
            kernel.set_up(link.index)
            indices[period] = link.index
        self.links = set(indices.values())
        wanted, used = wireguard.wanted(self._node_name, others, indices, family, now)
        self._renew(private, running, wireguard.due(now, used))
        return wanted

    def unsaid(self, node: Object) -> dict[str, str]:
        """The annotation by which the Node should say its keys, unless it does."""
        said = annotations_of(node).get(wireguard.ANNOTATION, "")
        return {} if said == self._annotation else {wireguard.ANNOTATION: self._annotation}

    def seconds_until_change(self) -> float:
        return wireguard.seconds_until_change(self._clock.now())

    def _link(self, kernel: Rtnetlink, name: str, pods: Iterable[Network], mtu: int) -> Link:
        link = kernel.link(name)
        if link is not None and link.kind != "wireguard" and not UserDevice(name, self._directory).answers():
            kernel.delete_link(link.index)
            link = None
        if link is None:
            try:
                kernel.add_wireguard(name, mtu=mtu)
            except NetlinkError as refused:
                if refused.errno != EOPNOTSUPP:
                    raise
                UserDevice(name, self._directory).start()
            link = kernel.link(name)
            if link is None:
                raise OSError(f"{name} is gone as soon as it was made")
        if link.mtu != mtu:
            kernel.set_mtu(link.index, mtu)
        kernel.host_addresses(link.index, pods)
        return link

    # ---- keys

    def _renew(self, private: dict[int, bytes], running: Set[int], due: Set[int]) -> None:
        """Make the keys that are due; those that neither are nor run are of no use any more."""
        for period in due - private.keys():
            private[period] = os.urandom(32)
            file = self._directory / f"{period}.key"
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
                opened.write(private[period])
        for period in private.keys() - due - running:
            (self._directory / f"{period}.key").unlink()
        self._annotation = wireguard.to_annotation({period: _public(private[period]) for period in due})

    def _keys(self) -> dict[int, bytes]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = {int(file.stem): file.read_bytes() for file in self._directory.glob("*.key") if file.stem.isdecimal()}
        return {period: key for period, key in found.items() if len(key) == 32}


def _public(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
