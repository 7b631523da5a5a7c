"""The `token` subresource of ServiceAccounts: a token is asked for and given, nothing is stored.

Source: pkg/registry/core/serviceaccount/storage/token.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import orjson

from pylet.api.errors import BadRequest, Cause, Conflict, Invalid, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.kinds.tokenrequest import KIND as TOKEN_REQUEST
from pylet.api.object import Key, Object, uid_of
from pylet.api.timestamps import format_time
from pylet.server import audit
from pylet.server.auth.tokens import Tokens
from pylet.server.registry import Registry

_DEFAULT_SECONDS = 3600
_EXTENDED = 3607  # what the kubelet asks for pods; upstream's WarnOnlyBoundTokenExpirationSeconds
_EXTENSION_SECONDS = 365 * 24 * 3600
_LEAST_SECONDS = 600
_MOST_SECONDS = 1 << 32
_BINDING = {kind.name: kind for kind in (POD, SECRET, NODE)}


class TokenRequests:
    """`audiences` are the API server's own, for requests that name none."""

    def __init__(
        self, registry: Registry, tokens: Tokens, audiences: Sequence[str], now: Callable[[], datetime]
    ) -> None:
        self._registry = registry
        self._tokens = tokens
        self._audiences = list(audiences)
        self._now = now

    def answer(self, key: Key, asked: Object) -> Object:
        """The request with its token. Raises: NotFound, Conflict, BadRequest, Invalid."""
        meta, spec = asked.get("metadata") or {}, asked.get("spec") or {}
        _check_names(meta, key)
        account = self._find(SERVICE_ACCOUNT, key)
        if meta.get("uid") and meta["uid"] != uid_of(account):
            why = f"the UID in the token request ({meta['uid']}) does not match the UID of the service account"
            why += f" ({uid_of(account)})"
            raise Conflict(TOKEN_REQUEST.group, TOKEN_REQUEST.name, key.name, why)
        seconds = spec.get("expirationSeconds")
        seconds = _DEFAULT_SECONDS if seconds is None else seconds
        _check_seconds(seconds)
        audiences = spec.get("audiences") or self._audiences
        bound, node = self._bound(key, spec.get("boundObjectRef"))
        now = self._now()
        # Clients that never read their token again work on for a year, and the audit log names them.
        is_pod = bound is not None and bound["kind"] == POD.name
        is_extended = is_pod and seconds == _EXTENDED and set(audiences) <= set(self._audiences)
        life, warn = (_EXTENSION_SECONDS, seconds) if is_extended else (seconds, 0)
        token, id_ = self._tokens.mint(account, audiences, life, bound, node, warn)
        audit.annotate("authentication.kubernetes.io/issued-credential-id", f"JTI={id_}")
        return {
            "kind": TOKEN_REQUEST.name,
            "apiVersion": TOKEN_REQUEST.api_version,
            "metadata": meta
            | {
                "name": key.name,
                "namespace": key.namespace,
                "uid": uid_of(account),
                "creationTimestamp": format_time(now),
            },
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {
                "token": token,
                "expirationTimestamp": format_time(now + timedelta(seconds=seconds)),
            },
        }

    def _bound(self, account: Key, ref: Object | None) -> tuple[Object | None, Object | None]:
        """The object a token is bound to, and the node of a bound Pod."""
        if ref is None:
            return None, None
        version, name = ref.get("apiVersion") or "", ref.get("kind") or ""
        kind = _BINDING.get(name)
        if kind is None or "/" in version:  # any version of the core's will do
            shown = version if "/" in version else f"/{version}"
            raise BadRequest(f"cannot bind token to object of type {shown}, Kind={name}")
        name = ref.get("name") or ""
        bound = self._find(kind, Key(account.namespace if kind.namespaced else "", name))
        if ref.get("uid") and ref["uid"] != uid_of(bound):
            why = (
                f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
            raise Conflict(kind.group, kind.name, name, why)
        if kind is not POD:
            return bound, None
        if bound["spec"].get("serviceAccountName", "default") != account.name:
            raise BadRequest(
                f'cannot bind token for serviceaccount "{account.name}" '
                "to pod running with different serviceaccount name."
            )
        node_name = bound["spec"].get("nodeName") or ""
        node = self._registry.table(NODE).entries.get(Key("", node_name))
        if node is not None:
            return bound, node.object
        return bound, {"metadata": {"name": node_name}} if node_name else None

    def _find(self, kind: Kind, key: Key) -> Object:
        entry = self._registry.table(kind).entries.get(key)
        if entry is None:
            raise NotFound(kind.group, kind.plural, key.name)
        return entry.object


def _check_names(meta: Object, key: Key) -> None:
    if (name := meta.get("name")) and name != key.name:
        _refuse(key.name, "metadata.name", name, "must match the service account name if specified")
    if (namespace := meta.get("namespace")) and namespace != key.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")


def _check_seconds(seconds: int) -> None:
    if seconds < _LEAST_SECONDS:
        _refuse("", "spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > _MOST_SECONDS:
        _refuse("", "spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


def _refuse(name: str, field: str, value: object, why: str) -> None:
    cause = Cause("FieldValueInvalid", f"Invalid value: {orjson.dumps(value).decode()}: {why}", field)
    raise Invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.name, name, [cause])
