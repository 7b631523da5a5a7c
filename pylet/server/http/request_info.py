"""What a request is about, read from its method and path alone.

Source: apiserver pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pylet.api.selector import parse_fields

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


class RequestInfo(NamedTuple):
    """`resource` is "" for a URL that names none; `verb` is then the method in lower case.

    `rest` is what follows resource, name and subresource in the path (proxies).
    """

    path: str
    verb: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    rest: tuple[str, ...] = ()


def request_info(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    plain = RequestInfo(path, method.lower())
    parts = path.strip("/").split("/")
    if len(parts) < 3 or parts[0] not in ("api", "apis"):
        return plain
    if parts[0] == "api":
        group, version, parts = "", parts[1], parts[2:]
    elif len(parts) < 4:
        return plain
    else:
        group, version, parts = parts[1], parts[2], parts[3:]
    verb = _VERBS.get(method, "")
    if parts[0] == "watch":
        verb, parts = "watch", parts[1:]
        if not parts:
            return plain
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    resource, name, subresource = (*parts, "", "", "")[:3]
    if not name:
        if verb == "get":
            verb = "list" if query.get("watch", "0").lower() in ("0", "false") else "watch"
        elif verb == "delete":
            verb = "deletecollection"
        if verb in ("list", "watch", "deletecollection"):
            name = _named(query.get("fieldSelector", ""))
    return RequestInfo(path, verb, group, version, namespace, resource, subresource, name, tuple(parts[3:]))


def _named(fields: str) -> str:
    """The one object a field selector picks, so that authorization by name works for lists and watches."""
    if "metadata.name" not in fields:
        return ""
    try:
        terms = parse_fields(fields).terms
    except ValueError:
        return ""
    return next((value for field, value, equal in terms if field == "metadata.name" and equal), "")
