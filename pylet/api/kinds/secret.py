"""Secrets."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from pylet.api import causes, columns, names, tlspair
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, annotations_of

_MOST_BYTES = 1 << 20
_FROZEN = "field is immutable when `immutable` is set"
_ACCOUNT = "kubernetes.io/service-account.name"
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
"""The keys a type of secret cannot do without."""
_JSON = ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson")
_REDACTED = "<secret contents redacted>"


class SecretStrategy(Strategy):
    def warnings(self, obj: Object) -> Sequence[str]:
        if obj.get("type") != "kubernetes.io/tls":
            return ()
        data = obj.get("data") or {}
        pair = (base64.b64decode(data.get(key) or "") for key in _NEEDS["kubernetes.io/tls"])
        problem = tlspair.problem(*pair)
        return (problem,) if problem else ()

    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        data = obj.get("data") or {}
        for key in data:
            found += causes.each(f"data[{key}]", key, names.config_key(key))
        if sum(len(text) for text in data.values()) * 3 // 4 > _MOST_BYTES:
            found.append(causes.too_long("data", _MOST_BYTES))
        type_ = obj.get("type", "")
        found += [causes.required(f"data[{key}]") for key in _NEEDS.get(type_, ()) if key not in data]
        for key in _NEEDS.get(type_, ()) if type_ in _JSON else ():
            if key in data and not _is_json(data[key]):
                found.append(causes.invalid(f"data[{key}]", _REDACTED, "invalid character in the JSON"))
        if type_ == "kubernetes.io/basic-auth" and "username" not in data and "password" not in data:
            found += [causes.required("data[username]"), causes.required("data[password]")]
        if type_ == "kubernetes.io/service-account-token" and not annotations_of(obj).get(_ACCOUNT):
            found.append(causes.required(f"metadata.annotations[{_ACCOUNT}]"))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = causes.immutable("type", obj.get("type"), old.get("type"))
        if old.get("immutable"):
            if not obj.get("immutable"):
                found.append(causes.forbidden("immutable", _FROZEN))
            if obj.get("data") != old.get("data"):
                found.append(causes.forbidden("data", _FROZEN))
        return [*found, *self.validate(obj)]


def _is_json(encoded: str) -> bool:
    try:
        orjson.loads(base64.b64decode(encoded))
    except ValueError:
        return False
    return True


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("type", ""), len(obj.get("data") or ()), columns.age(obj, now)]


KIND = Kind(
    group="",
    version="v1",
    name="Secret",
    plural="secrets",
    definition="io.k8s.api.core.v1.Secret",
    strategy=SecretStrategy(),
    columns=(
        columns.NAME,
        Column("Type", description="Used to facilitate programmatic handling of secret data."),
        Column("Data", description="Data contains the secret data."),
        columns.AGE,
    ),
    cells=_cells,
    fields={"type": lambda obj: obj.get("type", "")},
)
