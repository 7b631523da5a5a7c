"""What may be asked of a kind at a path, and in what words the rest is refused: custom resources have their own."""

from __future__ import annotations

from aiohttp import web

from pylet.api import kinds
from pylet.api.errors import ApiError, BadRequest, MethodNotAllowed, NotFound, UnsupportedMediaType
from pylet.api.kind import Kind
from pylet.client.interface import PatchType
from pylet.server.http.answer import Answer
from pylet.server.http.negotiation import unsupported
from pylet.server.http.request_info import RequestInfo
from pylet.server.registry import patch_types

_BODY_KINDS = {
    ("", "Binding"): "binding",
    ("policy", "Eviction"): "eviction",
    ("autoscaling", "Scale"): "scale",
    ("authentication.k8s.io", "TokenRequest"): "token",
}
_SUBRESOURCE_VERBS = {
    "status": ("get", "update", "patch"),
    "scale": ("get", "update", "patch"),
    "resize": ("get", "update", "patch"),
    "ephemeralcontainers": ("get", "update", "patch"),
    "approval": ("get", "update", "patch"),
    "finalize": ("update",),
    "binding": ("create",),
    "eviction": ("create",),
    "token": ("create",),
}


def verbs_of(kind: Kind, subresource: str) -> tuple[str, ...]:
    """The verbs a resource or subresource answers to."""
    return _SUBRESOURCE_VERBS.get(subresource, ()) if subresource else kind.verbs


def body_kind(kind: Kind, subresource: str) -> Kind:
    """The kind of the bodies a subresource takes and answers with."""
    for (group, name), of in _BODY_KINDS.items():
        if of == subresource:
            found = kinds.by_kind(group, "v1", name)
            assert found is not None
            return found
    return kind


def check(http: web.BaseRequest, info: RequestInfo, kind: Kind) -> Answer | None:
    """The answer at a path that no kind has; None where the verb may be served. Raises: ApiError."""
    if info.subresource and info.subresource not in kind.subresources:
        raise not_found() if kind.schema is None else NotFound(kind.group, kind.plural, info.name)
    if info.name and not info.subresource and "get" not in kind.verbs and kind.schema is None:
        raise not_found()  # what is only created has no paths of its own
    if not _is_placed(info, kind):
        if kind.schema is None:
            raise not_found()
        return Answer.text("404 page not found\n", 404)
    is_allowed = info.verb in verbs_of(kind, info.subresource) and _fits(info, kind)
    if not is_allowed or (http.method == "HEAD" and kind.schema is None):
        raise _not_allowed(http, info, kind)
    if info.verb == "patch":
        patch_type(http, kind)
    return None


def not_found() -> ApiError:
    error = NotFound("", "", "")
    error.message, error.details = "the server could not find the requested resource", {}
    return error


def _is_placed(info: RequestInfo, kind: Kind) -> bool:
    """Whether the path is one that this kind has: in a namespace or in none, and nothing behind the subresource."""
    if info.rest:
        return False
    if not kind.namespaced:
        return info.namespace in ("", info.name if info.resource == "namespaces" else "")
    if info.namespace or info.verb in ("list", "watch"):
        return True
    return kind.schema is None and not info.name and "list" in kind.verbs


def _fits(info: RequestInfo, kind: Kind) -> bool:
    """Whether the verb belongs on this path: writes of one object need its name, a plain create has none."""
    if kind.namespaced and not info.namespace and kind.schema is None and info.verb not in ("list", "watch"):
        return False
    if info.verb in ("update", "patch"):
        return bool(info.name)
    if info.verb != "create" or (kind.schema is not None and not info.subresource):
        return True
    return bool(info.name) == bool(info.subresource)


def _not_allowed(http: web.BaseRequest, info: RequestInfo, kind: Kind) -> ApiError:
    """What a verb is told that does not belong on this path: custom resources have a handler of their own for all."""
    if kind.schema is None or http.method == "HEAD":
        return MethodNotAllowed("the server does not allow this method on the requested resource", details={})
    if info.verb in ("update", "patch") and not info.name:
        if info.verb == "patch":
            patch_type(http, kind)
        return BadRequest("name must be provided")
    why = f'{info.verb} is not supported on resources of kind "{kind.resource}"'
    return MethodNotAllowed(why, details={"group": kind.group, "kind": kind.plural})


def patch_type(http: web.BaseRequest, kind: Kind) -> PatchType:
    """Raises: UnsupportedMediaType."""
    given = http.headers.get("Content-Type", "").partition(";")[0].strip()
    try:
        type_ = PatchType(given)
    except ValueError:
        if kind.schema is None:
            raise UnsupportedMediaType("415: Unsupported Media Type", details={}) from None
        raise unsupported(patch_types(kind)) from None
    if type_ not in patch_types(kind):
        raise unsupported(patch_types(kind))
    return type_
