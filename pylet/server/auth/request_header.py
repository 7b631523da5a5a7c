"""Whom a front proxy says it asks for: `X-Remote-*` headers, believed of who bears the front proxy's certificate alone.

Source: apiserver pkg/authentication/request/headerrequest.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from pylet.server.auth.authenticate import AUTHENTICATED
from pylet.server.registry import User

_EXTRA = "x-remote-extra-"


def proxied_user(headers: Iterable[tuple[str, str]]) -> User | None:
    """None where no user is named."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for header, value in headers:
        match header.lower():
            case "x-remote-user":
                name = name or value
            case "x-remote-uid":
                uid = uid or value
            case "x-remote-group":
                groups.append(value)
            case other if other.startswith(_EXTRA):
                extra.setdefault(unquote(other.removeprefix(_EXTRA)), []).append(value)
    if not name:
        return None
    if AUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    return User(name, tuple(groups), uid, extra)
