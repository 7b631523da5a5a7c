"""The cluster's resolver, one on every node, at the cluster's DNS address, which each node has for itself.

Names of the cluster are answered from the tables; all others are asked of the node's own resolvers and remembered as
long as they live. Datagrams are read until there are none, and what was answered before is answered from memory.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections import OrderedDict
from ipaddress import ip_address, ip_interface

from pylet.agent.netlink import NetlinkError
from pylet.agent.network import dnswire as wire
from pylet.agent.network.dnswire import Query
from pylet.agent.network.rtnetlink import Rtnetlink
from pylet.agent.network.zone import TTL, Found, Zone, hosts
from pylet.aio.clock import Clock
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_PORT = 53
_REMEMBERED = 4096  # answers of either sort, so 16 MiB together when all are as large as may be
_REMEMBERED_BYTES = 2048
_LONGEST_SECONDS = 300
_UPSTREAM_SECONDS = 2.0
_AT_ONCE = 512  # questions on their way to other resolvers
_DATAGRAMS_A_WAKE = 200
_TCP_IDLE_SECONDS = 10.0
_RETRY_SECONDS = 5.0
_SERVICE_NAME = "kubernetes.io/service-name"


class Dns:
    """`run` until cancelled. `upstreams` are the addresses other names are asked of."""

    def __init__(
        self,
        services: Table,
        slices: Table,
        clock: Clock,
        *,
        address: str,
        domain: str,
        upstreams: tuple[str, ...],
    ) -> None:
        self._services = services
        self._slices = slices
        self._clock = clock
        self._address = address
        self._upstreams = tuple(upstream for upstream in upstreams if upstream != address)
        self._slices_of: dict[Key, dict[Key, Entry]] = {}
        self._names: dict[str, str] = {}  # cluster address → the name PTR gives
        self._zone = Zone(domain, self._service, self._slices_for, self._name_of, self._has_services)
        self._answers: OrderedDict[tuple[bytes, bool], bytes] = OrderedDict()
        self._foreign: OrderedDict[tuple[bytes, bool], tuple[float, bytes]] = OrderedDict()
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        for entry in self._services.entries.values():
            self._service_changed(None, entry)
        for entry in self._slices.entries.values():
            self._slice_changed(None, entry)
        silence = (
            self._services.listen(self._service_changed),
            self._slices.listen(self._slice_changed),
        )
        try:
            while True:
                try:
                    own_address(self._address)
                    await self._serve()
                except OSError as failed:
                    log.error("cluster DNS at %s port %d: %s; trying again", self._address, _PORT, failed)
                    await self._clock.sleep(_RETRY_SECONDS)
        finally:
            for stop in silence:
                stop()

    async def _serve(self) -> None:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            udp.bind((self._address, _PORT))
            server = await asyncio.start_server(self._serve_stream, self._address, _PORT, reuse_address=True)
            async with server, asyncio.TaskGroup() as group:
                asyncio.get_running_loop().add_reader(udp, self._drain, udp, group)
                try:
                    await asyncio.Event().wait()
                finally:
                    asyncio.get_running_loop().remove_reader(udp)

    # ---- what the zone reads

    def _service(self, key: Key) -> Object | None:
        entry = self._services.entries.get(key)
        return None if entry is None else entry.object

    def _slices_for(self, key: Key) -> list[Object]:
        return [entry.object for entry in self._slices_of.get(key, {}).values()]

    def _name_of(self, address: str) -> str:
        return self._names.get(address, "")

    def _has_services(self, namespace: str) -> bool:
        return bool(self._services.in_namespace(namespace))

    def _service_changed(self, before: Entry | None, after: Entry | None) -> None:
        self._answers.clear()
        for entry, is_there in ((before, False), (after, True)):
            if entry is None:
                continue
            name = f"{entry.key.name}.{entry.key.namespace}.svc.{self._zone.domain}"
            for address in entry.object["spec"].get("clusterIPs") or ():
                self._name_address(address, name, is_there)

    def _slice_changed(self, before: Entry | None, after: Entry | None) -> None:
        self._answers.clear()
        for entry, is_there in ((before, False), (after, True)):
            if entry is None or not (name := entry.labels.get(_SERVICE_NAME)):
                continue
            service = Key(entry.key.namespace, name)
            for address, host in hosts(entry.object):
                self._name_address(address, f"{host}.{name}.{service.namespace}.svc.{self._zone.domain}", is_there)
            group = self._slices_of.setdefault(service, {})
            if is_there:
                group[entry.key] = entry
            else:
                group.pop(entry.key, None)
            if not group:
                del self._slices_of[service]

    def _name_address(self, address: str, name: str, is_there: bool) -> None:
        if is_there:
            self._names[address] = name
        elif self._names.get(address) == name:
            del self._names[address]

    # ---- serving

    def _drain(self, udp: socket.socket, group: asyncio.TaskGroup) -> None:
        for _ in range(_DATAGRAMS_A_WAKE):
            try:
                packet, client = udp.recvfrom(4096)
            except OSError:
                return
            reply = self._at_once(packet, over_udp=True)
            if reply is not None:
                _send(udp, reply, client)
            elif len(self._asking) < _AT_ONCE:
                task = group.create_task(self._ask_and_send(udp, packet, client))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)

    async def _ask_and_send(self, udp: socket.socket, packet: bytes, client: object) -> None:
        _send(udp, await self._ask(packet, over_udp=True), client)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    packet = await reader.readexactly(size)
                reply = self._at_once(packet, over_udp=False)
                if reply is None:
                    reply = await self._ask(packet, over_udp=False)
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            return
        finally:
            writer.close()

    def _at_once(self, packet: bytes, *, over_udp: bool) -> bytes | None:
        """The answer, if it takes no asking elsewhere; b"" for what is not answered at all."""
        remembered = self._answers.get((packet[2:], over_udp))
        if remembered is not None:
            return wire.with_id(remembered, int.from_bytes(packet[:2], "big"))
        try:
            query = wire.parse(packet)
        except wire.Malformed:
            return wire.failure(packet, wire.FORMERR) or b""
        if query.opcode:
            return wire.answer(query, [], code=wire.NOTIMP, authoritative=False)
        most = (query.edns_bytes or wire.PLAIN_BYTES) if over_udp else 65535
        found = self._find(query)
        if found is not None and not found.alias:
            reply = self._own_answer(query, found, most)
            if len(packet) + len(reply) <= _REMEMBERED_BYTES:
                self._answers[packet[2:], over_udp] = reply
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
            return reply
        if found is None:
            kept = self._foreign.get((packet[2:], over_udp))
            if kept is not None and kept[0] > self._clock.monotonic():
                return wire.with_id(kept[1], query.id)
        return None

    def _find(self, query: Query) -> Found | None:
        """What the cluster says; None for a name that is not its own."""
        if self._zone.is_ours(query.name):
            return self._zone.lookup(query.name, query.type)
        if query.name.endswith(".arpa"):
            return self._zone.reverse(query.name)
        return None

    def _own_answer(self, query: Query, found: Found, most_bytes: int) -> bytes:
        if found.records:
            return wire.answer(query, list(found.records), extra=list(found.extra), most_bytes=most_bytes)
        soa = wire.start_of_authority(self._zone.domain, self._services.revision & 0xFFFFFFFF, TTL)
        code = wire.NOERROR if found.exists else wire.NXDOMAIN
        return wire.answer(query, [], code=code, authority=[soa], most_bytes=most_bytes)

    # ---- asking elsewhere

    async def _ask(self, packet: bytes, *, over_udp: bool) -> bytes:
        query = wire.parse(packet)
        found = self._find(query)
        if found is not None and found.alias:
            return await self._follow(query, found.alias)
        for upstream in self._upstreams:
            reply = await _exchange(upstream, packet, over_udp=over_udp)
            if reply is not None and wire.code_of(reply) in (wire.NOERROR, wire.NXDOMAIN):
                self._remember(packet, reply, over_udp=over_udp)
                return wire.with_id(reply, query.id)
        return wire.answer(query, [], code=wire.SERVFAIL, authoritative=False)

    async def _follow(self, query: Query, alias: str) -> bytes:
        """An ExternalName Service: the alias, and what it stands for as far as that can be learnt."""
        record = wire.pointer(query.name, alias, TTL, wire.CNAME)
        records = [record]
        if self._zone.is_ours(alias):
            records += [r._replace(name=alias) for r in self._zone.lookup(alias, query.type).records]
        elif query.type in (wire.A, wire.AAAA):
            for upstream in self._upstreams:
                reply = await _exchange(upstream, wire.question(alias, query.type), over_udp=True)
                if reply is not None and wire.code_of(reply) in (wire.NOERROR, wire.NXDOMAIN):
                    records += wire.addresses(reply, alias, query.type)
                    break
        return wire.answer(query, records)

    def _remember(self, packet: bytes, reply: bytes, *, over_udp: bool) -> None:
        if wire.is_truncated(reply) or len(packet) + len(reply) > _REMEMBERED_BYTES:
            return
        life = min(wire.least_ttl(reply), _LONGEST_SECONDS)
        if life > 0:
            self._foreign[packet[2:], over_udp] = self._clock.monotonic() + life, reply
            if len(self._foreign) > _REMEMBERED:
                self._foreign.popitem(last=False)


async def _exchange(upstream: str, packet: bytes, *, over_udp: bool) -> bytes | None:
    """One question under an id and a port of its own, which are what an answer is believed by."""
    id_ = secrets.token_bytes(2)
    question = id_ + packet[2:]
    try:
        async with asyncio.timeout(_UPSTREAM_SECONDS):
            if not over_udp:
                return await _exchange_stream(upstream, question)
            loop = asyncio.get_running_loop()
            family = socket.AF_INET6 if ":" in upstream else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as asked:
                asked.setblocking(False)
                await loop.sock_connect(asked, (upstream, _PORT))
                await loop.sock_sendall(asked, question)
                while True:
                    reply = await loop.sock_recv(asked, 65535)
                    if reply[:2] == id_ and len(reply) >= 12:
                        return reply
    except (OSError, TimeoutError):
        return None


async def _exchange_stream(upstream: str, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(upstream, _PORT)
    try:
        writer.write(len(question).to_bytes(2, "big") + question)
        size = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as short:
        raise OSError("the resolver hung up") from short
    finally:
        writer.close()


def _send(udp: socket.socket, reply: bytes, client: object) -> None:
    if reply:
        try:
            udp.sendto(reply, client)  # type: ignore[call-overload]
        except OSError:
            return  # as good as lost on the way: the client asks again


def own_address(address: str) -> None:
    """Give this node the cluster's DNS address, on `lo`: packets for it then stay here. Raises: NetlinkError."""
    wanted = ip_interface(f"{address}/{ip_address(address).max_prefixlen}")
    with Rtnetlink() as kernel:
        loopback = kernel.link("lo")
        if loopback is not None and wanted not in kernel.addresses(loopback.index):
            kernel.add_address(loopback.index, wanted)


def give_up_address(address: str) -> None:
    """Undo `own_address`."""
    wanted = ip_interface(f"{address}/{ip_address(address).max_prefixlen}")
    with Rtnetlink() as kernel:
        loopback = kernel.link("lo")
        if loopback is not None and wanted in kernel.addresses(loopback.index):
            try:
                kernel.delete_address(loopback.index, wanted)
            except NetlinkError as failed:
                log.warning("take %s from lo: %s", address, failed)
