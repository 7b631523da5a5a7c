"""The cluster's resolver, one on every node, at the cluster's DNS address, which each node has for itself.

Names of the cluster are answered from the tables, all others by the forwarder. Datagrams are read until there are none,
and what was answered before is answered from memory. `http://<address>:9153/metrics` says how much that is. Where the
Service of the cluster's DNS is not there, or selects pods, somebody else is to answer: the address is given up.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import OrderedDict
from ipaddress import ip_address, ip_interface

from pylet.agent.netlink import NetlinkError
from pylet.agent.network import dnssettings
from pylet.agent.network import dnswire as wire
from pylet.agent.network.dnsforward import Forwarder
from pylet.agent.network.dnsmetrics import Metrics
from pylet.agent.network.dnssettings import DnsSettings
from pylet.agent.network.dnswire import Query, Record
from pylet.agent.network.rtnetlink import Rtnetlink
from pylet.agent.network.zone import TTL, Found, Zone, address_of, hosts
from pylet.agent.resolv_conf import HostResolver
from pylet.aio import httpanswer
from pylet.aio.clock import Clock
from pylet.aio.httpanswer import Answer
from pylet.api import clusterdns
from pylet.api.backends import SERVICE_NAME
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.object import Key, Object
from pylet.client.interface import Tables
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_PORT = 53
_METRICS_PORT = 9153
_REMEMBERED = 4096  # answers about the cluster, so 8 MiB together when all are as large as may be
_REMEMBERED_BYTES = 2048
_AT_ONCE = 512  # questions on their way to other resolvers
_DATAGRAMS_A_WAKE = 200
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_WAITING_BYTES = 4 << 20  # questions of a burst while others have the processor; by itself the kernel keeps some 250
_STREAMS = 256
_TCP_IDLE_SECONDS = 10.0
_RETRY_SECONDS = 5.0
_ALIASES = 8


class Dns:
    """`run` until cancelled. Other names are asked of whom `host` asks, if people name nobody else."""

    def __init__(
        self,
        services: Table,
        slices: Table,
        clock: Clock,
        *,
        address: str,
        domain: str,
        host: HostResolver,
    ) -> None:
        self._services = services
        self._slices = slices
        self._clock = clock
        self._address = address
        self.metrics = Metrics()
        self._host = host
        self._forwarder = Forwarder(host.own.nameservers, address, clock, self.metrics)
        self._names: dict[str, tuple[str, ...]] = {}  # cluster address → the names PTR gives
        self._zone = Zone(domain, self._service, self._slices_for, self._names_of, self._has_services)
        self._answers: OrderedDict[tuple[bytes, bool], bytes] = OrderedDict()
        self._asking: set[asyncio.Task[None]] = set()
        self._streams = 0
        self._turned = asyncio.Event()

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
                    while not self._is_asked():
                        give_up_address(self._address)
                        await self._turn()
                    own_address(self._address)
                    await self._serve()
                except OSError as failed:
                    log.error("cluster DNS at %s port %d: %s; trying again", self._address, _PORT, failed)
                    await self._clock.sleep(_RETRY_SECONDS)
        finally:
            for stop in silence:
                stop()

    def _is_asked(self) -> bool:
        service = self._service(clusterdns.SERVICE)
        return service is not None and clusterdns.is_answered_by_nodes(service)

    async def _turn(self) -> None:
        """Wait until there is something new about who answers."""
        self._turned.clear()
        await self._turned.wait()

    async def follow(self, tables: Tables) -> None:
        """Do as the ConfigMap `dnssettings.KEY` says, until cancelled."""
        table = await tables.object_table(CONFIG_MAP, dnssettings.KEY)
        changed = asyncio.Event()

        def heard(before: Entry | None, after: Entry | None) -> None:
            if dnssettings.KEY in {entry.key for entry in (before, after) if entry is not None}:
                changed.set()

        silence = table.listen(heard), self._host.listen(changed.set)
        try:
            while True:
                entry = table.entries.get(dnssettings.KEY)
                settings, problems = dnssettings.parse({} if entry is None else entry.object.get("data") or {})
                for problem in problems:
                    log.error("ConfigMap %s: %s", dnssettings.KEY, problem)
                self._answers.clear()
                self._forwarder.configure(settings, self._host.own.nameservers)
                await self._forwarder.find_loops()
                await changed.wait()
                changed.clear()
        finally:
            for stop in silence:
                stop()
            tables.release(CONFIG_MAP, dnssettings.KEY)

    async def _serve(self) -> None:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _WAITING_BYTES)
            udp.bind((self._address, _PORT))
            server = await asyncio.start_server(self._serve_stream, self._address, _PORT, reuse_address=True)
            metrics = await httpanswer.serve(self._metrics_at, self._address, _METRICS_PORT)
            async with server, metrics, asyncio.TaskGroup() as group:
                asyncio.get_running_loop().add_reader(udp, self._drain, udp, group)
                try:
                    await self._forwarder.find_loops()
                    while self._is_asked():
                        await self._turn()
                finally:
                    asyncio.get_running_loop().remove_reader(udp)

    # ---- what the zone reads

    def _service(self, key: Key) -> Object | None:
        entry = self._services.entries.get(key)
        return None if entry is None else entry.object

    def _slices_for(self, key: Key) -> list[Object]:
        return [entry.object for entry in self._slices.with_label(SERVICE_NAME, *key)]

    def _names_of(self, address: str) -> tuple[str, ...]:
        return self._names.get(address, ())

    def _has_services(self, namespace: str) -> bool:
        return bool(self._services.in_namespace(namespace))

    def _service_changed(self, before: Entry | None, after: Entry | None) -> None:
        self._answers.clear()
        for entry, is_there in ((before, False), (after, True)):
            if entry is None:
                continue
            if entry.key == clusterdns.SERVICE:
                self._turned.set()
            name = f"{entry.key.name}.{entry.key.namespace}.svc.{self._zone.domain}"
            for address in entry.decoded()["spec"].get("clusterIPs") or ():
                self._name_address(address, name, is_there)

    def _slice_changed(self, before: Entry | None, after: Entry | None) -> None:
        self._answers.clear()
        for entry, is_there in ((before, False), (after, True)):
            if entry is None or not (name := entry.labels.get(SERVICE_NAME)):
                continue
            for address, host in hosts(entry.decoded()):
                self._name_address(address, f"{host}.{name}.{entry.key.namespace}.svc.{self._zone.domain}", is_there)

    def _name_address(self, address: str, name: str, is_there: bool) -> None:
        if address == "None":
            return
        names = dict.fromkeys(self._names.get(address, ()))
        if is_there:
            names[name] = None
        else:
            names.pop(name, None)
        if names:
            self._names[address] = tuple(names)
        else:
            self._names.pop(address, None)

    # ---- serving

    def _drain(self, udp: socket.socket, group: asyncio.TaskGroup) -> None:
        for _ in range(_DATAGRAMS_A_WAKE):
            try:
                packet, client = udp.recvfrom(4096)
            except OSError:
                return
            self.metrics.udp += 1
            reply = self._at_once(packet, over_udp=True)
            if reply is not None:
                self.metrics.answered(reply)
                _send(udp, reply, client)
            elif len(self._asking) < _AT_ONCE:
                task = group.create_task(self._ask_and_send(udp, packet, client))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
            else:
                self.metrics.dropped += 1

    async def _ask_and_send(self, udp: socket.socket, packet: bytes, client: object) -> None:
        reply = await self._ask(packet, over_udp=True)
        self.metrics.answered(reply)
        _send(udp, reply, client)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams += 1
        try:
            while self._streams <= _STREAMS:
                async with asyncio.timeout(_TCP_IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    packet = await reader.readexactly(size)
                self.metrics.tcp += 1
                reply = self._at_once(packet, over_udp=False)
                if reply is None:
                    reply = await self._ask(packet, over_udp=False)
                if not reply:
                    return
                self.metrics.answered(reply)
                writer.write(len(reply).to_bytes(2, "big") + reply)
                async with asyncio.timeout(_TCP_IDLE_SECONDS):
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            return
        finally:
            self._streams -= 1
            writer.close()

    def _metrics_at(self, path: str) -> Answer:
        if path != "/metrics":
            return Answer(404, "not found\n")
        return Answer(200, self.metrics.text(), "text/plain; version=0.0.4")

    def _at_once(self, packet: bytes, *, over_udp: bool) -> bytes | None:
        """The answer, if it takes no asking elsewhere; b"" for what is not answered at all."""
        remembered = self._answers.get((packet[2:], over_udp))
        if remembered is not None:
            return packet[:2] + remembered[2:]
        try:
            query = wire.parse(packet)
        except wire.Malformed:
            return wire.failure(packet, wire.FORMERR) or b""
        if query.opcode:
            return wire.answer(query, [], code=wire.NOTIMP, authoritative=False)
        if query.class_ not in (wire.IN, wire.ANY):
            return wire.answer(query, [], code=wire.REFUSED, authoritative=False)
        packet = wire.without_options(packet, query)
        found = self._find(query.name, query.type)
        if found is not None and not found.alias:
            return self._remember(packet, self._own_answer(query, found, _most_bytes(query, over_udp)), over_udp)
        if found is None:
            if query.type == wire.HINFO and self._forwarder.is_loop(query.name):
                return wire.answer(query, [], code=wire.SERVFAIL, authoritative=False)
            if (kept := self._forwarder.remembered(packet)) is not None and (
                not over_udp or len(kept) <= _most_bytes(query, over_udp)
            ):
                return packet[:2] + kept[2:]
        return None

    def _remember(self, packet: bytes, reply: bytes, over_udp: bool) -> bytes:
        if len(packet) + len(reply) <= _REMEMBERED_BYTES:
            self._answers[packet[2:], over_udp] = reply
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return reply

    def _find(self, name: str, type_: int) -> Found | None:
        """What the settings or the cluster say; None for a name that is not its own."""
        settings = self._forwarder.settings
        if settings.hosts and (found := _of_hosts(settings, name, type_)):
            return found
        if self._zone.is_ours(name):
            return self._zone.lookup(name, type_)
        if name.endswith(".arpa"):
            return self._zone.reverse(name)
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
        packet = wire.without_options(packet, query)
        found = self._find(query.name, query.type)
        if found is not None and found.alias:
            records = await self._follow(query, found.alias)
            return wire.answer(query, records, most_bytes=_most_bytes(query, over_udp))
        reply = await self._forwarder.ask(packet, query.name, over_udp=over_udp)
        if reply is None:
            return wire.answer(query, [], code=wire.SERVFAIL, authoritative=False)
        return packet[:2] + reply[2:]

    async def _follow(self, query: Query, alias: str) -> list[Record]:
        """An ExternalName Service: the alias, and what it stands for as far as that can be learnt."""
        name, records = query.name, []
        for _ in range(_ALIASES):
            records.append(wire.pointer(name, alias, TTL, wire.CNAME))
            name = alias
            found = self._find(name, query.type)
            if query.type == wire.CNAME or found is None:
                break
            if not found.alias:
                return records + [record._replace(name=name) for record in found.records]
            alias = found.alias
        if query.type in (wire.A, wire.AAAA):
            reply = await self._forwarder.ask(wire.question(name, query.type), name, over_udp=True)
            records += [] if reply is None else wire.addresses(reply, name, query.type)
        return records


def _most_bytes(query: Query, over_udp: bool) -> int:
    return (query.edns_bytes or wire.PLAIN_BYTES) if over_udp else 65535


def _of_hosts(settings: DnsSettings, name: str, type_: int) -> Found | None:
    if addresses := settings.hosts.get(name):
        records = [wire.address(name, address, TTL) for address in addresses]
        return Found([record for record in records if type_ in (record.type, wire.ANY)])
    if name.endswith(".arpa") and (target := settings.names.get(address_of(name))):
        return Found([wire.pointer(name, target, TTL)] if type_ in (wire.PTR, wire.ANY) else [])
    return None


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
