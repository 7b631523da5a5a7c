"""Bootstrap tokens go when they expire, and sign the ConfigMap `cluster-info` as long as they may.

A joining machine knows the signed ConfigMap for its cluster's by the token alone, before it trusts anybody.
Source: upstream `pkg/controller/bootstrap`, `cluster-bootstrap/token/jws`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta

import orjson

from pylet.api import base64url, timestamps
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object, uid_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Controller, Delete, Patch, Plan, Watch

_TYPE = "bootstrap.kubernetes.io/token"
_PREFIX = "bootstrap-token-"
_NAMESPACE = "kube-system"
_CLUSTER_INFO = Key("kube-public", "cluster-info")
_SIGNATURE = "jws-kubeconfig-"


def plan(key: Key, view: View, now: datetime) -> Plan:
    if key == _CLUSTER_INFO:
        return _sign(view, now)
    secret = view.get(SECRET, key)
    if secret is None or secret.get("type") != _TYPE:
        return NOTHING
    left = _left(secret, now)
    if left is None:
        return NOTHING
    return Plan(again_after=left) if left > timedelta() else Plan((Delete(SECRET, key, uid_of(secret)),))


def _sign(view: View, now: datetime) -> Plan:
    found = view.get(CONFIG_MAP, _CLUSTER_INFO)
    content = (found or {}).get("data", {}).get("kubeconfig")
    if found is None or content is None:
        return NOTHING
    tokens = dict(_signing(view, now))
    wanted = {f"{_SIGNATURE}{id_}": signature(content, id_, secret) for id_, secret in tokens.items()}
    has = {name: value for name, value in found["data"].items() if name.startswith(_SIGNATURE)}
    if has == wanted:
        return NOTHING
    gone = dict.fromkeys(has.keys() - wanted.keys())
    return Plan((Patch(CONFIG_MAP, _CLUSTER_INFO, {"data": {**gone, **wanted}}),))


def _signing(view: View, now: datetime) -> Iterable[tuple[str, str]]:
    """The ids and secrets of tokens that may sign."""
    for entry in view.table(SECRET).in_namespace(_NAMESPACE).values():
        if not entry.key.name.startswith(_PREFIX):
            continue
        secret = entry.object
        id_, value = _data(secret, "token-id"), _data(secret, "token-secret")
        left = _left(secret, now)
        is_valid = secret.get("type") == _TYPE and entry.key.name == f"{_PREFIX}{id_}" and (left is None or left)
        if value and is_valid and _data(secret, "usage-bootstrap-signing") == "true":
            yield id_, value


def signature(content: str, id_: str, secret: str) -> str:
    """A JWS (RFC 7515, HS256) whose payload was taken out: `header..signature`."""
    header = base64url.encode(orjson.dumps({"alg": "HS256", "kid": id_}))
    signed = hmac.digest(secret.encode(), header + b"." + base64url.encode(content.encode()), hashlib.sha256)
    return (header + b".." + base64url.encode(signed)).decode()


def _left(secret: Object, now: datetime) -> timedelta | None:
    """How long the token lasts; zero when it has expired or its date is none, None for one without end."""
    expires = _data(secret, "expiration")
    if not expires:
        return None
    try:
        return max(timedelta(), timestamps.parse(expires) - now)
    except ValueError:
        return timedelta()


def _data(secret: Object, name: str) -> str:
    try:
        return base64.b64decode((secret.get("data") or {}).get(name, "")).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _of_secret(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key.namespace == _NAMESPACE and entry.key.name.startswith(_PREFIX):
        yield entry.key
        yield _CLUSTER_INFO


def _of_config_map(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key == _CLUSTER_INFO:
        yield entry.key


CONTROLLER = Controller("bootstrap-token", (Watch(SECRET, _of_secret), Watch(CONFIG_MAP, _of_config_map)), plan)
