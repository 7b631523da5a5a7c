"""What a WebSocket's client offers to speak; pages in browsers, which set no header, say by one of the names who asks.

Source: apiserver pkg/authentication/request/websocket/protocol.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from pylet.api import base64url
from pylet.api.errors import Unauthorized

HEADER = "Sec-WebSocket-Protocol"
_TOKEN = "base64url.bearer.authorization.k8s.io."


def is_websocket(http: web.BaseRequest) -> bool:
    upgrade, connection = http.headers.get("Upgrade", ""), http.headers.get("Connection", "")
    return upgrade.lower() == "websocket" and "upgrade" in connection.lower()


def offered(http: web.BaseRequest) -> list[str]:
    """All but a token, which is for this server alone; of who names none, one that is empty."""
    return [name for name in _all(http) if not name.startswith(_TOKEN)]


def headers_passed_on(http: web.BaseRequest) -> Iterable[tuple[str, str]]:
    if HEADER not in http.headers:
        return http.headers.items()
    others = [(name, value) for name, value in http.headers.items() if name.lower() != HEADER.lower()]
    names = ", ".join(offered(http))
    return [*others, (HEADER, names)] if names else others


def authorization(http: web.BaseRequest) -> str | None:
    """As the header of that name would say it. Raises: Unauthorized, for what is no token or comes alone."""
    if not is_websocket(http):
        return None
    names = _all(http)
    tokens = [name.removeprefix(_TOKEN) for name in names if name.startswith(_TOKEN)]
    if not tokens:
        return None
    try:
        token = base64url.decode(tokens[0]).decode()
    except ValueError as bad:
        raise Unauthorized from bad
    if len(tokens) > 1 or (token and len(names) == 1):
        raise Unauthorized
    return f"Bearer {token}"


def _all(http: web.BaseRequest) -> list[str]:
    return [name.strip() for line in http.headers.getall(HEADER, ("",)) for name in line.split(",")]
