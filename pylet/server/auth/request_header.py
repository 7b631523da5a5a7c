"""Whom a front proxy says it asks for: `X-Remote-*` headers, believed of who bears the front proxy's certificate alone.

Source: apiserver pkg/authentication/request/headerrequest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import unquote

from pylet.server.auth.authenticate import groups_of
from pylet.server.registry import User


def proxied_user(headers: Iterable[tuple[str, str]]) -> User | None:
    """None where no user is named."""
    user = user_in(headers, "x-remote-")
    if not user.name:
        return None
    return replace(user, groups=groups_of(user.name, user.groups))


def user_in(headers: Iterable[tuple[str, str]], prefix: str) -> User:
    """The user whom headers of that prefix, in lower case, describe; its name may be empty."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for header, value in headers:
        word = header.lower()
        if not word.startswith(prefix):
            continue
        match word.removeprefix(prefix):
            case "user":
                name = name or value
            case "uid":
                uid = uid or value
            case "group":
                groups.append(value)
            case other if other.startswith("extra-"):
                extra.setdefault(unquote(other.removeprefix("extra-")), []).append(value)
    return User(name, tuple(groups), uid, extra)
