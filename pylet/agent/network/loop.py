"""Makes the pod network of this node and keeps it right: CNI configuration, sysctls, ways to the other nodes' pods.

What it made stays when it stops: pods go on talking while pylet restarts. `cleanup` removes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import shutil
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Network
from pathlib import Path

from pylet.agent.netlink import Message, NetlinkError
from pylet.agent.network import cni, overlay, rtnetlink
from pylet.agent.network.rtnetlink import Rtnetlink, Vxlan
from pylet.aio.clock import Clock
from pylet.api.object import Key
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",  # else a pod's answer to its own node skips the translation back
}
_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    node_name: str
    node_ip: str
    backend: str
    """host-gw, vxlan or none."""
    service_cidrs: tuple[str, ...] = ("10.43.0.0/16",)
    cni_conf_dir: Path
    ipam_dir: Path
    """Where host-local remembers addresses."""


class Network:
    """`run` until cancelled; `ready` is set once pods can be given addresses."""

    def __init__(self, nodes: Table, clock: Clock, settings: NetworkSettings) -> None:
        self._nodes = nodes
        self._clock = clock
        self._settings = settings
        self._wake = asyncio.Event()
        self._unreachable: set[str] = set()
        self._uplink = 0
        self.ready = asyncio.Event()

    async def run(self) -> None:
        if self._settings.backend == "none":
            self.ready.set()
            return
        silence = self._nodes.listen(self._node_changed)
        try:
            with rtnetlink.watch(self._kernel_changed):
                while True:
                    self._wake.clear()
                    try:
                        self._apply()
                    except (NetlinkError, OSError) as failed:
                        log.error("pod network: %s; trying again in %.0f s", failed, _RETRY_SECONDS)
                        await self._clock.sleep(_RETRY_SECONDS)
                        continue
                    await self._wake.wait()
        finally:
            silence()

    def _node_changed(self, before: Entry | None, after: Entry | None) -> None:
        self._wake.set()

    def _kernel_changed(self, message: Message | None) -> None:
        if message is None or rtnetlink.is_own_route(message) or rtnetlink.is_about_link(message, self._uplink):
            self._wake.set()

    def _apply(self) -> None:
        own = self._nodes.entries.get(Key("", self._settings.node_name))
        cidr = own.object["spec"].get("podCIDR") if own is not None else None
        if not cidr:
            return  # the controller has not given one yet: the table will say so
        pods = ipaddress.ip_network(cidr)
        if not self.ready.is_set():
            _set_sysctls()
        with Rtnetlink() as kernel:
            mtu = self._connect(kernel, pods)
        text = cni.conflist(cidr, mtu=mtu, data_dir=self._settings.ipam_dir)
        if cni.write(self._settings.cni_conf_dir, text):
            log.info("pods of this node get their addresses from %s", cidr)
        self.ready.set()

    def _connect(self, kernel: Rtnetlink, pods: IPv4Network | IPv6Network) -> int:
        """Bring routes and tunnel entries to what they should be; returns the MTU of the pods' links."""
        uplink, mtu = _uplink(kernel, self._settings.node_ip)
        self._uplink = uplink
        others = overlay.peers((entry.object for entry in self._nodes.entries.values()), self._settings.node_name)
        if self._settings.backend == "vxlan":
            mtu -= overlay.VXLAN_BYTES
            link = _tunnel(kernel, self._settings.node_ip, pods, mtu)
            wanted = overlay.vxlan(others, link)
            _reconcile_tunnel(kernel, link, wanted)
        else:
            _delete_link(kernel, overlay.VXLAN_LINK)  # of a run with another backend
            networks = {address.network: index for address, index in kernel.addresses(uplink).items()}
            wanted, unreachable = overlay.host_gw(others, networks)
            self._complain({peer.name for peer in unreachable})
        routes = wanted.routes | overlay.service_routes(self._settings.service_cidrs, uplink)
        current = set(kernel.routes())
        for route in routes - current:
            kernel.put_route(route)
        for route in current - routes:
            with contextlib.suppress(NetlinkError):
                kernel.delete_route(route)
        return mtu

    def _complain(self, unreachable: set[str]) -> None:
        for name in sorted(unreachable - self._unreachable):
            log.error("node %s shares no link with this one: use --network-backend vxlan on all nodes", name)
        self._unreachable = unreachable


def cleanup(cni_conf_dir: Path, ipam_dir: Path) -> None:
    """Undo all of it: configuration, addresses given out, bridge, tunnel, routes."""
    (cni_conf_dir / cni.FILE).unlink(missing_ok=True)
    shutil.rmtree(ipam_dir, ignore_errors=True)
    with Rtnetlink() as kernel:
        for route in kernel.routes():
            with contextlib.suppress(NetlinkError):
                kernel.delete_route(route)
        for name in (cni.BRIDGE, overlay.VXLAN_LINK):
            _delete_link(kernel, name)


def _delete_link(kernel: Rtnetlink, name: str) -> None:
    link = kernel.link(name)
    if link is not None:
        kernel.delete_link(link.index)


def _set_sysctls() -> None:
    for name, value in _SYSCTLS.items():
        file = Path("/proc/sys") / name
        if file.exists() and file.read_text().strip() != value:
            try:
                file.write_text(value)
            except OSError as refused:
                dotted = name.replace("/", ".")
                raise OSError(f"cannot set {dotted} to {value}: {refused}; set it on the machine") from refused


def _uplink(kernel: Rtnetlink, node_ip: str) -> tuple[int, int]:
    """Index and MTU of the link that has the node's address. Raises: OSError."""
    for address, index in kernel.addresses().items():
        if str(address.ip) == node_ip:
            return index, next(link.mtu for link in kernel.links() if link.index == index)
    raise OSError(f"no link of this machine has the address {node_ip}: check --node-ip")


def _tunnel(kernel: Rtnetlink, node_ip: str, pods: IPv4Network | IPv6Network, mtu: int) -> int:
    wanted = Vxlan(overlay.VXLAN_ID, overlay.VXLAN_PORT, ipaddress.ip_address(node_ip))
    link = kernel.link(overlay.VXLAN_LINK)
    if link is not None and (link.vxlan != wanted or link.mac != overlay.mac_of(pods)):
        kernel.delete_link(link.index)
        link = None
    if link is None:
        kernel.add_vxlan(overlay.VXLAN_LINK, wanted, mtu=mtu, mac=overlay.mac_of(pods))
        link = kernel.link(overlay.VXLAN_LINK)
        assert link is not None
    address = IPv4Interface(f"{pods.network_address}/32") if pods.version == 4 else None
    if address is not None and address not in kernel.addresses(link.index):
        kernel.add_address(link.index, address)
    kernel.set_up(link.index)
    return link.index


def _reconcile_tunnel(kernel: Rtnetlink, link: int, wanted: overlay.Wanted) -> None:
    neighbours, forwards = set(kernel.neighbours(link)), set(kernel.forwards(link))
    for neighbour in wanted.neighbours - neighbours:
        kernel.put_neighbour(neighbour)
    for forward in wanted.forwards - forwards:
        kernel.put_forward(forward)
    for neighbour in neighbours - wanted.neighbours:
        kernel.delete_neighbour(neighbour)
    for forward in forwards - wanted.forwards:
        kernel.delete_forward(forward)
