"""pods/proxy, services/proxy and nodes/proxy: whatever speaks HTTP there, reached through the API server.

Names may say more than a name: `[scheme:]name[:port]`. What is no ordinary address (loopback, link-local) is refused,
so that nobody reaches the API server's own machine through it.
Sources: pkg/registry/core/{pod,node}/strategy.go and service/storage/storage.go, each ResourceLocation.
"""

from __future__ import annotations

import posixpath
import random
import ssl
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from urllib.parse import quote, unquote

from aiohttp import web

from pylet.aio.certificate import unverified
from pylet.api.errors import BadRequest, NotFound, ServiceUnavailable
from pylet.api.ip import in_url
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, dig
from pylet.client.view import Table
from pylet.server.http.answer import TEXT, Answer, Streamed
from pylet.server.http.forwarding import Forwarder, Target
from pylet.server.http.links import Links
from pylet.server.http.request_info import RequestInfo
from pylet.server.http.tunnels import Tunnels
from pylet.server.services import Services


class Proxies:
    """`kubelet_tls` is the context to reach kubelets with; other servers' certificates are not looked at."""

    def __init__(
        self, tables: Callable[[Kind], Table], forwarder: Forwarder, tunnels: Tunnels, kubelet_tls: ssl.SSLContext
    ) -> None:
        self._tables = tables
        self._services = Services(tables)
        self._forwarder = forwarder
        self._tunnels = tunnels
        self._kubelet_tls = kubelet_tls
        self._locate: dict[str, Callable[[str, str], tuple[str, ssl.SSLContext | None]]] = {
            "pods": self._pod,
            "services": self._service,
            "nodes": self._node,
        }

    def serves(self, info: RequestInfo) -> bool:
        return info.subresource == "proxy" and not info.group and info.resource in self._locate

    async def serve(self, http: web.BaseRequest, info: RequestInfo) -> Answer | Streamed:
        """Raises: ApiError."""
        base, tls = self._locate[info.resource](info.namespace, info.name)
        parts = http.rel_url.raw_path.split("/")
        depth = 8 if info.namespace else 6  # /api/v1/namespaces/NAMESPACE/pods/NAME/proxy, /api/v1/nodes/NAME/proxy
        prefix, path = "/".join(parts[:depth]), plain("/".join(parts[depth:])) if parts[depth:] else ""
        if not path and http.method in ("GET", "HEAD"):
            query = http.rel_url.raw_query_string
            where = f"{http.rel_url.raw_path}/{'?' + query if query else ''}"
            return Answer(b"", 301, TEXT, (("Location", where),))
        hosts = (base.partition("://")[2], http.headers.get("Host", ""))
        return await self._forwarder.forward(http, Target(base + path, tls, links=Links(prefix, hosts)))

    def _pod(self, namespace: str, asked: str) -> tuple[str, ssl.SSLContext | None]:
        scheme, name, port = split_target(asked, "pod")
        pod = self._get(POD, Key(namespace, name))
        if not port:
            ports = [one["containerPort"] for c in pod["spec"]["containers"] for one in c.get("ports") or ()]
            port = str(ports[0]) if ports else ""
        return _url(scheme, allowed_address(dig(pod, "status", "podIP", default="")), port)

    def _service(self, namespace: str, asked: str) -> tuple[str, ssl.SSLContext | None]:
        scheme, name, port = split_target(asked, "service")
        service = self._get(SERVICE, Key(namespace, name))
        if port.isdecimal():
            named = [one.get("name", "") for one in service["spec"].get("ports") or () if one["port"] == int(port)]
            if not named:
                raise ServiceUnavailable(f'no service port {port} found for service "{name}"')
            port = named[0]
        found = list(self._pods_behind(Key(namespace, name), port))
        if not found:
            raise ServiceUnavailable(f'no endpoints available for service "{asked}"')
        address, number = random.choice(found)
        return _url(scheme, allowed_address(address), str(number))

    def _pods_behind(self, service: Key, port: str) -> Iterator[tuple[str, int]]:
        """What is no pod's address is not proxied to, whoever says that it is behind a Service."""
        pods = self._tables(POD).entries
        for address, number, refers in self._services.endpoints(service, port):
            pod = pods.get(Key(service.namespace, refers.get("name", "")))
            ips = dig(pod.object if pod is not None else None, "status", "podIPs", default=())
            if refers.get("namespace") == service.namespace and any(one.get("ip") == address for one in ips):
                yield address, number

    def _node(self, _: str, asked: str) -> tuple[str, ssl.SSLContext | None]:
        scheme, name, port = split_target(asked, "node")
        host, own = self._tunnels.address(name)
        if not port or port == str(own):
            host, own = self._tunnels.kubelet(name)
            return f"https://{in_url(host)}:{own}", self._kubelet_tls
        return _url(scheme, allowed_address(host), port)

    def _get(self, kind: Kind, key: Key) -> Object:
        entry = self._tables(kind).entries.get(key)
        if entry is None:
            raise NotFound(kind.group, kind.plural, key.name)
        return entry.object


def split_target(asked: str, what: str) -> tuple[str, str, str]:
    """Scheme, name and port of `name`, `name:port` or `scheme:name:port`. Raises: BadRequest."""
    parts = asked.split(":")
    scheme, name, port = {1: ("", *parts, ""), 2: ("", *parts), 3: tuple(parts)}.get(len(parts), ("", "", ""))
    if scheme not in ("", "http", "https") or not name:
        raise BadRequest(f'invalid {what} request "{asked}"')
    return scheme or "http", name, port


def plain(path: str) -> str:
    """An encoded path from its root, as Go makes it of a decoded one: no dots, nor slashes that follow each other."""
    decoded = unquote(path, errors="surrogateescape")
    joined = "/" + posixpath.normpath(f"/{decoded}").lstrip("/")
    if decoded.endswith("/") and joined != "/":
        joined += "/"
    return quote(joined, safe="/$&+,:;=@", errors="surrogateescape")


def _url(scheme: str, host: str, port: str) -> tuple[str, ssl.SSLContext | None]:
    """Raises: ServiceUnavailable."""
    if port and not (port.isdecimal() and int(port) < 1 << 16):
        raise ServiceUnavailable(f"error trying to reach service: dial tcp: address {port}: invalid port")
    base = f"{scheme}://{in_url(host)}{':' + port if port else ''}"
    return base, unverified() if scheme == "https" else None


def allowed_address(address: str) -> str:
    """The address, unless it leads back to this machine or to nobody. Raises: BadRequest."""
    try:
        ip = ip_address(address)
    except ValueError as bad:
        raise BadRequest("address not allowed") from bad
    if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise BadRequest("address not allowed")
    return address
