"""What probes and hooks do to a container: run a command, ask over HTTP, TCP or gRPC. Success or why not.

Source: upstream `pkg/probe`, `pkg/kubelet/lifecycle/handlers.go`.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from pylet.aio.certificate import unverified
from pylet.api.ip import in_url
from pylet.api.object import Object
from pylet.cri.interface import CriError, DeadlineExceeded, Runtime
from pylet.version import MAJOR, MINOR

_BODY_BYTES = 10 << 10
_REDIRECTS = 10
_GRPC_SECONDS = 1.0
_UNBOUNDED_SECONDS = 365 * 86400.0
FELL_BACK = "LifecycleHTTPFallback"
"""The reason of the event that warns of a hook that was to be asked over TLS."""
_NO_TLS = "http: server gave HTTP response to HTTPS client"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`message` says what went wrong, as upstream's events word it; `unknown` when nobody could be asked.

    An outcome that is ok with a message is one to warn of.
    """

    ok: bool
    message: str = ""
    unknown: bool = False
    answered: bool = False
    """Not well, but in HTTP."""


@dataclass(frozen=True, slots=True)
class Target:
    """The container that is asked: its id, the pod's address, and its ports by name."""

    container_id: str
    ip: str
    ports: dict[str, int]

    @classmethod
    def of(cls, container_id: str, ip: str, container: Object) -> Target:
        ports = container.get("ports") or ()
        return cls(container_id, ip, {port["name"]: port["containerPort"] for port in ports if port.get("name")})

    def port(self, value: int | str) -> int:
        """Raises: KeyError for a name the container does not declare."""
        return value if isinstance(value, int) else self.ports[value] if value in self.ports else int(value)


async def run(
    handler: Object, target: Target, runtime: Runtime, *, seconds: float | None, is_hook: bool = False
) -> Outcome:
    """Carry out an exec, httpGet, tcpSocket, grpc or sleep handler, taking at most `seconds`; None is no bound.

    A hook over HTTP has done well whatever the answer is.
    """
    try:
        async with asyncio.timeout(seconds):
            if "exec" in handler:
                return await _exec(handler["exec"], target, runtime, seconds)
            if "httpGet" in handler:
                return await (_hook if is_hook else _http)(handler["httpGet"], target)
            if "tcpSocket" in handler:
                return await _tcp(handler["tcpSocket"], target)
            if "grpc" in handler:
                return await _grpc(handler["grpc"], target, seconds or _GRPC_SECONDS)
            if "sleep" in handler:
                await asyncio.sleep(handler["sleep"]["seconds"])
            return Outcome(True)
    except TimeoutError:
        return Outcome(False, _late(handler, target, seconds))
    except (KeyError, ValueError) as unknown:
        return Outcome(False, f"couldn't find port: {unknown}")
    except OSError as failed:
        return Outcome(False, _unreachable(handler, target, failed))


def _url(action: Object, target: Target) -> str:
    host, port = action.get("host") or target.ip, target.port(action["port"])
    path = action.get("path") or "/"
    return f"{action.get('scheme', 'HTTP').lower()}://{in_url(host)}:{port}/{path.removeprefix('/')}"


def _late(handler: Object, target: Target, seconds: float | None) -> str:
    if "exec" in handler:
        return f"command timed out after {seconds:g}s"
    if "httpGet" in handler:
        words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return f'Get "{_url(handler["httpGet"], target)}": {words}'
    if "tcpSocket" in handler:
        action = handler["tcpSocket"]
        return f"dial tcp {action.get('host') or target.ip}:{target.port(action['port'])}: i/o timeout"
    return "context deadline exceeded"


def _unreachable(handler: Object, target: Target, failed: OSError) -> str:
    """As Go words a connection that cannot be made."""
    action = handler.get("httpGet") or handler.get("tcpSocket")
    if action is None:
        return str(failed)
    if isinstance(failed, ssl.SSLError):
        return f'Get "{_url(action, target)}": {_NO_TLS if _is_plain(failed) else f"tls: {failed.reason or failed}"}'
    why = os.strerror(failed.errno).lower() if failed.errno else str(failed)
    words = f"dial tcp {action.get('host') or target.ip}:{target.port(action['port'])}: connect: {why}"
    return f'Get "{_url(action, target)}": {words}' if "httpGet" in handler else words


async def _exec(action: Object, target: Target, runtime: Runtime, seconds: float | None) -> Outcome:
    try:
        result = await runtime.exec_sync(
            target.container_id, action.get("command") or [], timeout_seconds=seconds or _UNBOUNDED_SECONDS
        )
    except DeadlineExceeded:
        return Outcome(False, f"command timed out after {seconds:g}s")
    except CriError as failed:
        return Outcome(False, str(failed), unknown=True)
    output = (result.stdout + result.stderr)[:_BODY_BYTES].decode(errors="replace")
    return Outcome(result.exit_code == 0, "" if result.exit_code == 0 else output)


async def _http(action: Object, target: Target, purpose: str = "probe") -> Outcome:
    """A redirect to the same host is followed; one that leads elsewhere is an answer good enough."""
    host, url = action.get("host") or target.ip, _url(action, target)
    headers = _headers(action, f"{host}:{target.port(action['port'])}", purpose)
    for _ in range(_REDIRECTS):
        code, location, body = await _get(url, headers)
        if code == 0:
            return Outcome(False, f'Get "{url}": malformed HTTP response')
        if not 200 <= code < 400:
            return Outcome(False, f"HTTP probe failed with statuscode: {code}", answered=True)
        if code < 300:
            return Outcome(True)
        url = urljoin(url, location)
        if not location or urlsplit(url).hostname != host:
            return Outcome(True, f"Probe terminated redirects, Response body: {body}")
    return Outcome(False, f'Get "{url}": stopped after {_REDIRECTS} redirects')


async def _hook(action: Object, target: Target) -> Outcome:
    """One that speaks no TLS is asked again without, and nothing it should not hear; that is warned of."""
    warning = ""
    try:
        found = await _http(action, target, "lifecycle")
    except ssl.SSLError as failed:
        if not _is_plain(failed):
            raise
        to = urlsplit(_url(action, target)).netloc
        warning = f"request to HTTPS lifecycle hook {to} got HTTP response, retry with HTTP succeeded"
        headers = [each for each in action.get("httpHeaders") or () if each["name"].lower() != "authorization"]
        found = await _http({**action, "scheme": "HTTP", "httpHeaders": headers}, target, "lifecycle")
    return Outcome(True, warning) if found.ok or found.answered else found


def _headers(action: Object, host: str, purpose: str) -> list[tuple[str, str]]:
    """As the pod has them, over those there always are; an Accept of nothing is none."""
    own = [(header["name"].lower(), header["value"]) for header in action.get("httpHeaders") or ()]
    always = (("host", host), ("user-agent", f"kube-{purpose}/{MAJOR}.{MINOR}"), ("accept", "*/*"))
    said = {name for name, _ in own}
    found = [*(pair for pair in always if pair[0] not in said), *own, ("connection", "close")]
    return [pair for pair in found if pair != ("accept", "")]


def _is_plain(failed: ssl.SSLError) -> bool:
    """Whether the other side answered in clear."""
    return failed.reason in ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


async def _get(url: str, headers: Iterable[tuple[str, str]]) -> tuple[int, str, str]:
    """Status code, 0 for what is not HTTP, the Location header, and a redirect's body.

    As upstream, certificates are not checked: a probe asks whether somebody answers, not who.
    """
    to = urlsplit(url)
    is_secure = to.scheme == "https"
    port = to.port or (443 if is_secure else 80)
    reader, writer = await asyncio.open_connection(to.hostname, port, ssl=unverified() if is_secure else None)
    try:
        path = f"{to.path or '/'}?{to.query}" if to.query else to.path or "/"
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
        writer.write("\r\n".join(lines).encode())
        status_line = (await reader.readline()).decode(errors="replace").split(" ", 2)
        if len(status_line) < 2 or not status_line[1].isdecimal():
            return 0, "", ""
        code, location, length = int(status_line[1]), "", 0
        while (line := (await reader.readline()).decode(errors="replace")).strip():
            name, _, value = line.partition(":")
            if name.lower() == "location":
                location = value.strip()
            elif name.lower() == "content-length" and value.strip().isdecimal():
                length = int(value)
        body = await reader.read(min(length, _BODY_BYTES)) if 300 <= code < 400 else b""
        return code, location, body.decode(errors="replace")
    finally:
        writer.close()


async def _tcp(action: Object, target: Target) -> Outcome:
    _, writer = await asyncio.open_connection(action.get("host") or target.ip, target.port(action["port"]))
    writer.close()
    return Outcome(True)


async def _grpc(action: Object, target: Target, seconds: float) -> Outcome:
    from pylet.cri.health import Unhealthy, check

    try:
        await check(f"{target.ip}:{action['port']}", action.get("service") or "", seconds=seconds)
    except Unhealthy as unhealthy:
        return Outcome(False, str(unhealthy))
    return Outcome(True)
