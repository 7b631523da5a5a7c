"""Acting as somebody else: `Impersonate-*` headers, each of which RBAC has to allow.

Source: apiserver pkg/endpoints/filters/impersonation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import unquote

from pylet.api.errors import BadRequest
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authenticate import AUTHENTICATED
from pylet.server.registry import User

_ACCOUNT = "system:serviceaccount:"
_EXTRA = "impersonate-extra-"
_GROUP = "authentication.k8s.io"


def impersonated(user: User, headers: Iterable[tuple[str, str]], check: Callable[[Attributes], None]) -> User:
    """The user to act as; `check` raises Forbidden. Raises: BadRequest, Forbidden."""
    name, uid, groups, extra = _asked(headers)
    if not name:
        if groups or extra or uid:
            raise BadRequest("requested impersonation of groups, uid or extra without impersonating a user")
        return user
    account = name.removeprefix(_ACCOUNT).split(":") if name.startswith(_ACCOUNT) else []
    if len(account) == 2:
        check(
            Attributes(
                user, "impersonate", version="v1", resource="serviceaccounts", namespace=account[0], name=account[1]
            )
        )
    else:
        check(Attributes(user, "impersonate", version="v1", resource="users", name=name))
    for group in groups:
        check(Attributes(user, "impersonate", version="v1", resource="groups", name=group))
    if uid:
        check(Attributes(user, "impersonate", _GROUP, "v1", "uids", name=uid))
    for key, values in extra.items():
        for value in values:
            check(Attributes(user, "impersonate", _GROUP, "v1", "userextras", key, name=value))
    if len(account) == 2 and not groups:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account[0]}"]
    if name == "system:anonymous":
        return User(name, tuple(groups) or ("system:unauthenticated",), uid, extra)
    if AUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    return User(name, tuple(groups), uid, extra)


def _asked(headers: Iterable[tuple[str, str]]) -> tuple[str, str, list[str], dict[str, list[str]]]:
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for header, value in headers:
        match header.lower():
            case "impersonate-user":
                name = value
            case "impersonate-uid":
                uid = value
            case "impersonate-group":
                groups.append(value)
            case other if other.startswith(_EXTRA):
                extra.setdefault(unquote(other.removeprefix(_EXTRA)), []).append(value)
    return name, uid, groups, extra
