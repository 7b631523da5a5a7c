"""A thin blocking HTTP client for one API server: starts in milliseconds, keeps one connection, knows Status.

Built on http.client because aiohttp's import alone takes longer than all of `kubectl get pods` should.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pylet.api.errors import ApiError, RemoteError, from_status
from pylet.cli.failure import warn
from pylet.cli.kubectl import tracing
from pylet.cli.kubectl.tracing import Trace
from pylet.client.kubeconfig import Endpoint, ssl_context

JSON = "application/json"
_REASONS = {
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    403: ("Forbidden", "the server does not allow access to the requested resource"),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    406: ("NotAcceptable", "the server was unable to respond with a content type that the client supports"),
    409: ("Conflict", "the server reported a conflict"),
    415: ("UnsupportedMediaType", "the server was unable to respond with a content type that the client supports"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted, but may still be processing"),
}


class ConnectionFailed(Exception):
    """No answer came from the server; worded as kubectl words it."""


@dataclass
class Api:
    """`timeout_seconds` None waits for ever, as kubectl does by default."""

    endpoint: Endpoint
    timeout_seconds: float | None = None
    verbosity: int = 0
    _kept: http.client.HTTPConnection | None = None
    warned: set[str] = field(default_factory=set)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Any:
        """The decoded JSON answer, or its text when it is something else. Raises: ApiError, ConnectionFailed."""
        response, trace = self._exchange(method, path, query, body, content_type, accept, kept=True)
        data = response.read()
        trace.told(data)
        return _decode(response, data)

    def raw(self, method: str, path: str, body: bytes | None = None) -> str:
        """The answer as it is. Raises: ApiError, ConnectionFailed."""
        response, trace = self._exchange(method, path, None, body, JSON, JSON, kept=True)
        data = response.read()
        trace.told(data)
        return data.decode(errors="replace")

    def stream(
        self, path: str, *, query: Mapping[str, Any] | None = None, accept: str = JSON
    ) -> http.client.HTTPResponse:
        """A response to read from while it grows, on a connection of its own. Raises: ApiError, ConnectionFailed."""
        return self._exchange("GET", path, query, None, "", accept, kept=False)[0]

    def watch(self, path: str, query: Mapping[str, Any], *, accept: str = JSON) -> Iterator[Any]:
        """The events as they come, until the server or the timeout ends it. Raises: ConnectionFailed, ApiError."""
        response = self.stream(path, query={**query, "watch": "true"}, accept=accept)
        try:
            while line := response.readline():
                if line.strip():
                    yield json.loads(line)
        except TimeoutError:
            tracing.note(self.verbosity, "unable to decode an event from the watch stream: context deadline exceeded")
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error) from None
        finally:
            response.close()

    def target(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """The request target: path with its query, empty values left out."""
        pairs = {key: value for key, value in sorted((query or {}).items()) if value not in ("", None, [], 0)}
        return self.endpoint.path + path + (f"?{urlencode(pairs, doseq=True)}" if pairs else "")

    def connect(self) -> socket.socket:
        """A connected socket of its own, TLS done. Raises: ConnectionFailed."""
        connection = self._open()
        assert connection.sock is not None
        return connection.sock

    def _open(self) -> http.client.HTTPConnection:
        target = self.endpoint
        try:
            if target.server.startswith("https://"):
                context = ssl_context(target)
                raw = socket.create_connection((target.host, target.port), self.timeout_seconds)
                name = target.tls_server_name or target.host
                # Not HTTPSConnection: that would load the machine's authorities for a context of its own (15 ms).
                connection = http.client.HTTPConnection(target.host, target.port)
                connection.sock = context.wrap_socket(raw, server_hostname=name)
            else:
                connection = http.client.HTTPConnection(target.host, target.port, timeout=self.timeout_seconds)
                connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise self._failed(error) from None
        return connection

    def headers(self) -> list[tuple[str, str]]:
        from pylet.version import KUBERNETES

        headers = [("User-Agent", f"pylet-kubectl/{KUBERNETES}"), *self.endpoint.impersonation]
        return [*headers, ("Authorization", f"Bearer {self.endpoint.token}")] if self.endpoint.token else headers

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        content_type: str,
        accept: str,
        *,
        kept: bool,
    ) -> tuple[http.client.HTTPResponse, Trace]:
        headers = [*self.headers(), ("Accept", accept)]
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
            headers += [("Content-Type", content_type), ("Content-Length", str(len(data)))]
        fresh = self._kept is None
        connection = self._kept if kept and self._kept else self._open()
        url = f"{self.endpoint.server.removesuffix(self.endpoint.path)}{self.target(path, query)}"
        trace = Trace(self.verbosity, method, url, headers, data)
        try:
            connection.putrequest(method, self.target(path, query))
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(data)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._kept = None
            # A kept connection that the server closed between two requests is no failure; nothing was answered.
            if kept and not fresh and isinstance(error, http.client.RemoteDisconnected | BrokenPipeError):
                return self._exchange(method, path, query, body, content_type, accept, kept=True)
            raise self._failed(error) from None
        if kept:
            self._kept = connection
        trace.answered(response)
        self._warn(response)
        if response.status >= 400:
            data = response.read()
            trace.told(data)
            raise _error(response, data)
        return response, trace

    def _warn(self, response: http.client.HTTPResponse) -> None:
        """Prints each `Warning` once, as client-go's deduplicating writer does."""
        for value in response.headers.get_all("Warning") or ():
            text = value.split('"', 1)[-1].rsplit('"', 1)[0].replace('\\"', '"').replace("\\\\", "\\")
            if text not in self.warned:
                self.warned.add(text)
                warn(text)

    def _failed(self, error: Exception) -> ConnectionFailed:
        return failed(self.endpoint.host, f"{self.endpoint.host}:{self.endpoint.port}", error)


def failed(host: str, place: str, error: object) -> ConnectionFailed:
    """Why there is no answer; `place` is the host with its port."""
    match error:
        case ConnectionRefusedError():
            text = f"The connection to the server {place} was refused - did you specify the right host or port?"
        case ssl.SSLCertVerificationError():
            text = f"Unable to connect to the server: tls: failed to verify certificate: {error.verify_message}"
        case socket.gaierror():
            text = f"Unable to connect to the server: dial tcp: lookup {host}: no such host"
        case TimeoutError():
            text = f"Unable to connect to the server: dial tcp {place}: i/o timeout"
        case http.client.RemoteDisconnected() | http.client.IncompleteRead():
            text = "Unable to connect to the server: EOF"
        case _:
            text = f"Unable to connect to the server: {getattr(error, 'strerror', None) or error}"
    return ConnectionFailed(text)


def _decode(response: http.client.HTTPResponse, data: bytes) -> Any:
    if response.headers.get_content_type() == JSON:
        return _with_kinds(json.loads(data))
    return data.decode(errors="replace")


def _with_kinds(found: Any) -> Any:
    """As `found`, with items of a list saying what they are, which the list says for them."""
    if isinstance(found, dict) and found.get("kind", "").endswith("List"):
        for item in found.get("items") or ():
            item.setdefault("apiVersion", found["apiVersion"])
            item.setdefault("kind", found["kind"].removesuffix("List"))
    return found


def _error(response: http.client.HTTPResponse, data: bytes) -> ApiError:
    answer = None
    with contextlib.suppress(ValueError):
        answer = json.loads(data)
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        return from_status(answer)
    code = response.status
    text = data.decode(errors="replace").strip()
    reason, message = _REASONS.get(code, ("InternalError" if code == 500 else "", ""))
    if code == 500 or not message:
        quoted = json.dumps(text or "unknown")
        message = f"an error on the server ({quoted}) has prevented the request from succeeding"
    return RemoteError({"message": message, "reason": reason, "code": code})
