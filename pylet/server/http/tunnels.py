"""The way to a node's kubelet and pods: through the connection its agent keeps to this server, or at their address.

A node behind NAT has an address nobody reaches, perhaps the same as another's: its kubelet goes by the node's name,
below a domain that no resolver knows. A tunnel leads to its agent's kubelet and pods and nowhere else, and carries
the TLS that both sides would speak without it: who may do what there is the kubelet's to decide, as ever.

A pod in its node's network has an address that the node itself tells, and might as well be another machine's: a tunnel
leads there only when there is no other way, and to no port but those that the pod declares.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

from pylet.api.errors import BadRequest, Conflict, InternalError, NotFound
from pylet.api.hostports import serves_as_node
from pylet.api.object import Key, dig
from pylet.client.view import Table
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.node import node_of
from pylet.server.http.answer import Streamed

if TYPE_CHECKING:
    import aiohttp

    from pylet.aio.tunnel import Tunnel

Network: TypeAlias = IPv4Network | IPv6Network

PATH = "/v1-pylet/connect"
PROTOCOL = "pylet-tunnel-1"
_KUBELET_PORT = 10250
_ADDRESSES = ("InternalIP", "ExternalIP", "Hostname")
_DOMAIN = ".node.invalid"  # RFC 6761: never resolved
_SILENCE_SECONDS = 45.0  # agents ask more often
_CONNECT_SECONDS = 10.0
_DIRECT_SECONDS = 0.5
"""For the way without the tunnel, where there is one by it: a webhook may have a second in all."""


class Tunnels:
    """`nodes` says where those without a tunnel are. `close` it at the end."""

    def __init__(self, nodes: Table, pods: Table) -> None:
        self._nodes = nodes
        self._of_all = pods
        self._id = secrets.token_hex(8)
        self._open: dict[str, Tunnel] = {}
        self._pods: dict[str, tuple[Network, ...]] = {}
        """What the pods of the nodes with tunnels have their addresses from, for those somebody asked about."""

    def kubelet(self, name: str) -> tuple[str, int]:
        """Host and port of a node's kubelet, for `connect`. Raises: NotFound, InternalError."""
        host, port = self.address(name)
        return (name + _DOMAIN if name in self._open else host), port

    def address(self, name: str) -> tuple[str, int]:
        """Where a node says that its kubelet listens. Raises: NotFound, InternalError."""
        entry = self._nodes.entries.get(Key("", name))
        if entry is None:
            raise NotFound("", "nodes", name)
        status = entry.object.get("status") or {}
        # of several of a type, the first
        known = {address["type"]: address["address"] for address in reversed(status.get("addresses") or ())}
        host = next((known[type_] for type_ in _ADDRESSES if type_ in known), None)
        if host is None:
            raise InternalError(f"no preferred addresses found; known addresses: {list(known.values())}")
        return host, dig(status, "daemonEndpoints", "kubeletEndpoint", "Port", default=_KUBELET_PORT)

    async def connect(
        self,
        make_protocol: Callable[[], Any],
        host: str,
        port: int,
        *,
        ssl: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> Any:
        """As the loop's `create_connection`, but that it knows the way into tunnels. Raises: OSError."""
        loop = asyncio.get_running_loop()
        node = self._node(host)
        if not node:
            node = self._host(host, port)
            try:
                async with asyncio.timeout(_DIRECT_SECONDS if node else None):
                    return await loop.create_connection(
                        make_protocol, host, port, ssl=ssl, server_hostname=server_hostname
                    )
            except OSError:  # a TimeoutError is one
                if not node:
                    raise
        if node not in self._open:
            raise ConnectionResetError("its agent has gone")
        is_kubelet = host.endswith(_DOMAIN)
        end = self._open[node].open(b"" if is_kubelet else f"{host} {port}".encode())
        name = node if is_kubelet else server_hostname or host
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await loop.create_connection(
                    make_protocol, sock=end, ssl=ssl, server_hostname=name if ssl is not None else None
                )
        except BaseException as failed:
            end.close()
            if isinstance(failed, TimeoutError):
                raise ConnectionAbortedError("its agent does not answer") from failed
            raise

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """For sessions that shall find the way into tunnels, too."""
        import aiohttp

        tunnels = self

        class Connector(aiohttp.TCPConnector):
            async def _create_connection(self, req: Any, *about: Any) -> Any:
                host, port = req.url.raw_host or "", req.url.port
                if not (tunnels._node(host) or tunnels._host(host, port)):
                    return await super()._create_connection(req, *about)
                tls, name = self._get_ssl_context(req), req.server_hostname
                return (await tunnels.connect(self._factory, host, port, ssl=tls, server_hostname=name))[1]

        return Connector(**options)

    def accept(self, http: web.BaseRequest, asked: Attributes) -> Streamed:
        """Make the connection of a node's agent a tunnel to it, in place of any it had.

        The agent says which servers it holds a tunnel to, by their own names: it may know one by several addresses.
        Raises: Forbidden, BadRequest, Conflict.
        """
        from pylet.aio.tunnel import Tunnel

        node = node_of(asked.user)
        if not node:
            raise asked.forbidden("an agent connects for its own node alone")
        if http.headers.get("Upgrade") != PROTOCOL:
            raise BadRequest(f"Upgrade request for {PROTOCOL} required")
        if self._id in http.headers.get("Pylet-Held", "").split(","):
            raise Conflict("", "nodes", node, "its agent is connected already")
        transport = http.transport
        if transport is None:
            raise ConnectionResetError

        def lost(why: str) -> None:
            if self._open.get(node) is tunnel:
                del self._open[node]
                self._pods.pop(node, None)

        tunnel = Tunnel(silence_seconds=_SILENCE_SECONDS, lost=lost)
        lines = ["HTTP/1.1 101 Switching Protocols", f"Upgrade: {PROTOCOL}", "Connection: Upgrade"]
        transport.write("\r\n".join([*lines, f"Pylet-Server: {self._id}", "", ""]).encode())
        transport.set_protocol(tunnel)
        http.protocol.transport = None  # it would close what it has
        http.protocol.connection_lost(None)  # no request comes on it any more
        tunnel.connection_made(transport)
        before, self._open[node] = self._open.get(node), tunnel
        if before is not None:
            before.close("there is another")
        return Streamed(101, keep_alive=False)

    def _node(self, host: str) -> str:
        """Whose tunnel leads to that host; "" for what is reached without."""
        if host.endswith(_DOMAIN):
            return host.removesuffix(_DOMAIN)
        if self._open:
            with suppress(ValueError):  # a name
                address = ip_address(host)
                return next((name for name in self._open if any(address in known for known in self._ranges(name))), "")
        return ""

    def _host(self, host: str, port: int) -> str:
        """The node with a tunnel in whose network a pod listens there."""
        needle = f'"{host}"'.encode()
        for name in self._open:
            for entry in self._of_all.with_field("spec.nodeName", name).values():
                is_meant = b'"hostNetwork":true' in entry.raw and needle in entry.raw
                if is_meant and serves_as_node(entry.object, host, port):
                    return name
        return ""

    def _ranges(self, name: str) -> tuple[Network, ...]:
        found = self._pods.get(name)
        if found is None and (entry := self._nodes.entries.get(Key("", name))) is not None:
            found = tuple(map(ip_network, entry.object["spec"].get("podCIDRs") or ()))
            if found:  # once set, they stay
                self._pods[name] = found
        return found or ()

    def close(self) -> None:
        for tunnel in list(self._open.values()):
            tunnel.close("the server stops")
