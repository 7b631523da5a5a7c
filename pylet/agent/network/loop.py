"""Makes the pod network of this node and keeps it right: CNI configuration, sysctls, ways to the other nodes' pods.

What it made stays when it stops: pods go on talking while pylet restarts. `cleanup` removes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from pylet.agent.netlink import Message, NetlinkError
from pylet.agent.network import cni, overlay, rtnetlink, shaping
from pylet.agent.network.rtnetlink import Address, Rtnetlink, Vxlan
from pylet.agent.network.rtnetlink import Network as Range
from pylet.aio.clock import Clock
from pylet.api.errors import ApiError
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key
from pylet.client.interface import Client
from pylet.client.view import Entry, Table

if TYPE_CHECKING:
    from pylet.agent.network.wgtunnels import Tunnels

log = logging.getLogger(__name__)

_SYSCTLS = {
    # without the second of each, a pod's answer to its own node skips the translation back
    4: {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"},
    6: {"net/ipv6/conf/all/forwarding": "1", "net/bridge/bridge-nf-call-ip6tables": "1"},
}
_LOOSE = {f"net/ipv4/conf/{link}/rp_filter": "2" for link in overlay.WIREGUARD_LINKS}
"""Of two nodes one is the first to send by a new key: what comes by one tunnel is answered by the other, a while."""
_ACCEPT_RA = "net/ipv6/conf/{}/accept_ra"
_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    node_name: str
    node_ips: tuple[str, ...]
    """One of a family; tunnels use the first."""
    backend: str
    """host-gw, vxlan, wireguard or none."""
    service_cidrs: tuple[str, ...] = ("10.43.0.0/16",)
    cni_bin_dir: Path
    cni_conf_dir: Path
    ipam_dir: Path
    """Where host-local remembers addresses."""
    wireguard_dir: Path
    """Where the node's own keys are."""


class Network:
    """`run` until cancelled; `ready` is set once pods can be given addresses."""

    def __init__(self, nodes: Table, client: Client, clock: Clock, settings: NetworkSettings) -> None:
        self._nodes = nodes
        self._client = client
        self._clock = clock
        self._settings = settings
        self._wake = asyncio.Event()
        self._unreachable: frozenset[str] = frozenset()
        self._families: set[int] = set()  # those that the kernel has been told to forward
        self._links: set[int] = set()  # those whose changes concern it
        self._failure = ""
        self._wireguard: Tunnels | None = None
        self.ready = asyncio.Event()

    async def run(self) -> None:
        if self._settings.backend == "none":
            _clear(self._settings.cni_conf_dir)  # of a run with another backend: its file might be taken for the user's
            self.ready.set()
            return
        if self._settings.backend == "wireguard":
            from pylet.agent.network.wgtunnels import Tunnels

            self._wireguard = Tunnels(self._settings.wireguard_dir, self._clock, self._settings.node_name)
        silence = self._nodes.listen(self._node_changed)
        try:
            with rtnetlink.watch(self._kernel_changed), shaping.watch():
                while True:
                    self._wake.clear()
                    try:
                        self._apply()
                        await self._publish()
                    except (OSError, ApiError) as failed:
                        if str(failed) != self._failure:
                            log.error("pod network: %s; trying again every %.0f s", failed, _RETRY_SECONDS)
                        self._failure = str(failed)
                        await self._clock.sleep(_RETRY_SECONDS)
                        continue
                    self._failure = ""
                    await self._changed()
        finally:
            silence()

    async def _changed(self) -> None:
        """Waits until there is something to do."""
        if self._wireguard is None:
            await self._wake.wait()
            return
        later = asyncio.create_task(self._clock.sleep(self._wireguard.seconds_until_change()))
        later.add_done_callback(lambda done: self._wake.set())
        try:
            await self._wake.wait()
        finally:
            later.cancel()

    async def _publish(self) -> None:
        """Say on the Node which keys it has. Raises: ApiError."""
        own = self._nodes.entries.get(Key("", self._settings.node_name))
        news = self._wireguard.unsaid(own.object) if self._wireguard is not None and own is not None else {}
        if news:
            await self._client.patch(NODE, Key("", self._settings.node_name), {"metadata": {"annotations": news}})

    def _node_changed(self, before: Entry | None, after: Entry | None) -> None:
        self._wake.set()

    def _kernel_changed(self, message: Message | None) -> None:
        if message is None or rtnetlink.is_own_route(message) or rtnetlink.is_about_link(message, self._links):
            self._wake.set()

    def _apply(self) -> None:
        own = self._nodes.entries.get(Key("", self._settings.node_name))
        pods = overlay.ranges(own.object) if own is not None else ()
        if not pods:
            return  # the controller has not given any yet: the table will say so
        with Rtnetlink() as kernel:
            uplinks: dict[int, int] = {ip_address(ip).version: _uplink(kernel, ip) for ip in self._settings.node_ips}
            families: set[int] = {network.version for network in pods}
            if families != self._families:
                _set_sysctls(families, kernel, uplinks)
                self._families = families
            mtu = self._connect(kernel, pods, uplinks)
        shapes = (self._settings.cni_bin_dir / "bandwidth").exists()
        text = cni.conflist(tuple(map(str, pods)), mtu=mtu, data_dir=self._settings.ipam_dir, shapes=shapes)
        if cni.write(self._settings.cni_conf_dir, text):
            log.info("pods of this node get their addresses from %s", " and ".join(map(str, pods)))
        self.ready.set()

    def _connect(self, kernel: Rtnetlink, pods: tuple[Range, ...], uplinks: dict[int, int]) -> int:
        """Bring routes and tunnel entries to what they should be; returns the MTU of the pods' links."""
        self._links = set(uplinks.values())
        mtu = min(link.mtu for link in kernel.links() if link.index in self._links)
        others = overlay.peers((entry.object for entry in self._nodes.entries.values()), self._settings.node_name)
        if self._settings.backend == "vxlan":
            local = ip_address(self._settings.node_ips[0])
            mtu -= overlay.VXLAN_BYTES[local.version]
            link = _tunnel(kernel, local, pods, mtu)
            self._links.add(link)
            wanted = overlay.vxlan(others, link, local.version)
            _reconcile_tunnel(kernel, link, wanted)
        elif self._wireguard is not None:
            family = ip_address(self._settings.node_ips[0]).version
            mtu -= overlay.WIREGUARD_BYTES[family]
            nodes = (entry.object for entry in self._nodes.entries.values())
            wanted = self._wireguard.connect(kernel, nodes, family, mtu)
            self._links |= self._wireguard.links
            _write_sysctls(_LOOSE)
        else:
            wanted = overlay.host_gw(others, _networks(kernel, self._links))
        self._complain(wanted.unreachable)
        routes = wanted.routes | overlay.service_routes(self._settings.service_cidrs, uplinks)
        current = set(kernel.routes())
        for route in routes - current:
            kernel.put_route(route)
        for route in current - routes:
            with contextlib.suppress(NetlinkError):
                kernel.delete_route(route)
        for each in kernel.links():
            if each.name in overlay.LINKS and each.index not in self._links:
                kernel.delete_link(each.index)  # of a key that has had its day, or of a run with another backend
        return mtu

    def _complain(self, unreachable: frozenset[str]) -> None:
        advice = (
            "give every node an address of the tunnel's family with --node-ip"
            if self._settings.backend != "host-gw"
            else "give it an address of each family there with --node-ip, or use --network-backend vxlan on all nodes"
        )
        for name in sorted(unreachable - self._unreachable):
            log.error("node %s shares no link with this one in every family its pods have: %s", name, advice)
        self._unreachable = unreachable


def cleanup(cni_conf_dir: Path, ipam_dir: Path) -> None:
    """Undo all of it: configuration, addresses given out, bridge, tunnel, routes."""
    shutil.rmtree(ipam_dir, ignore_errors=True)
    _clear(cni_conf_dir, cni.BRIDGE)


def _clear(cni_conf_dir: Path, *links: str) -> None:
    """Take away what leads to other nodes, and from new pods here; with these links, too."""
    (cni_conf_dir / cni.FILE).unlink(missing_ok=True)
    with Rtnetlink() as kernel:
        for route in kernel.routes():
            with contextlib.suppress(NetlinkError):
                kernel.delete_route(route)
        for link in kernel.links():
            if link.name in (*overlay.LINKS, *links):
                kernel.delete_link(link.index)


def _set_sysctls(families: set[int], kernel: Rtnetlink, uplinks: dict[int, int]) -> None:
    wanted = {name: value for family in families for name, value in _SYSCTLS[family].items()}
    if 6 in families and 6 in uplinks:
        # a machine that forwards takes no default route from its router any more, unless told to go on
        name = _ACCEPT_RA.format(next(link.name for link in kernel.links() if link.index == uplinks[6]))
        file = Path("/proc/sys") / name
        if file.exists() and file.read_text().strip() == "1":
            wanted = {name: "2", **wanted}
    _write_sysctls(wanted)


def _write_sysctls(wanted: dict[str, str]) -> None:
    """What does not exist here is left out. Raises: OSError."""
    for name, value in wanted.items():
        file = Path("/proc/sys") / name
        if file.exists() and file.read_text().strip() != value:
            try:
                file.write_text(value)
            except OSError as refused:
                dotted = name.replace("/", ".")
                raise OSError(f"cannot set {dotted} to {value}: {refused}; set it on the machine") from refused


def _uplink(kernel: Rtnetlink, node_ip: str) -> int:
    """Index of the link that has the node's address. Raises: OSError."""
    for address, index in kernel.addresses().items():
        if str(address.ip) == node_ip:
            return index
    raise OSError(f"no link of this machine has the address {node_ip}: check --node-ip")


def _networks(kernel: Rtnetlink, links: set[int]) -> dict[Range, int]:
    return {address.network: index for address, index in kernel.addresses().items() if index in links}


def _tunnel(kernel: Rtnetlink, local: Address, pods: tuple[Range, ...], mtu: int) -> int:
    wanted, mac = Vxlan(overlay.VXLAN_ID, overlay.VXLAN_PORT, local), overlay.mac_of(pods[0])
    link = kernel.link(overlay.VXLAN_LINK)
    if link is not None and (link.vxlan != wanted or link.mac != mac):
        kernel.delete_link(link.index)
        link = None
    if link is None:
        kernel.add_vxlan(overlay.VXLAN_LINK, wanted, mtu=mtu, mac=mac)
        link = kernel.link(overlay.VXLAN_LINK)
        assert link is not None
    elif link.mtu != mtu:
        kernel.set_mtu(link.index, mtu)
    kernel.host_addresses(link.index, pods)
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
