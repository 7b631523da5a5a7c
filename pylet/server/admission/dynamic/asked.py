"""One write as rules, webhooks and expressions see it: its resource in every served version, its object in any.

Source: apiserver pkg/admission/conversion.go; pkg/endpoints/handlers, for what operation options hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from pylet.api import schema
from pylet.api.errors import RemoteError
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.api.wire import registered
from pylet.server.admission.dynamic.cluster import Cluster, internal_error
from pylet.server.admission.interface import CONNECT, DELETE, Attributes

_ITS_OWN = ("", "status", "approval", "ephemeralcontainers", "finalize", "resize")
"""Subresources whose bodies are of the resource's own kind."""
_META = "meta.k8s.io/v1"


class Gvk(NamedTuple):
    """A kind by its names."""

    group: str
    version: str
    kind: str

    def __str__(self) -> str:
        return f"{self.group}/{self.version}, Kind={self.kind}"

    def json(self) -> Object:
        return {"group": self.group, "version": self.version, "kind": self.kind}


class Match(NamedTuple):
    """The version of what is written that a rule is about: its resource, and the kind of the object in it."""

    resource: Kind
    kind: Gvk

    def resource_json(self) -> Object:
        return {"group": self.resource.group, "version": self.resource.version, "resource": self.resource.plural}


class Asked:
    """`write` and what is worked out of it once, for all that are asked about it."""

    def __init__(self, write: Attributes, cluster: Cluster) -> None:
        self.write = write
        self.resource: Kind = write.request.kind
        self.operation = write.operation.upper()
        self.namespace = write.key.namespace
        if self.resource.name == "Namespace" and not self.resource.group:
            self.namespace = write.key.name
        self._cluster = cluster
        self.exact = Match(self.resource, self._kind_in(self.resource))
        self._equivalents: list[Match] | None = None

    @property
    def is_config(self) -> bool:
        """Configurations of admission are nobody's business: who could repair them?"""
        return self.resource.group == "admissionregistration.k8s.io"

    @property
    def equivalents(self) -> list[Match]:
        """The other versions it could have been written in."""
        if self._equivalents is None:
            sub = self.write.subresource
            found = [kind for kind in self._cluster.kinds.versions(self.resource) if kind is not self.resource]
            served = [kind for kind in found if not sub or sub in kind.subresources]
            self._equivalents = [Match(kind, self._kind_in(kind)) for kind in served]
        return self._equivalents

    def labels(self) -> list[Mapping[str, str]]:
        """Those of the object and of the one it was; what has no metadata has none to select by."""
        objects = (self.write.obj, self.write.old)
        return [obj["metadata"].get("labels") or {} for obj in objects if obj is not None and "metadata" in obj]

    def namespace_object(self) -> Object | None:
        entry = self.write.table("Namespace").entries.get(Key("", self.namespace))
        return None if entry is None else entry.object

    async def objects(self, match: Match) -> tuple[Object | None, Object | None]:
        """The object, private, and the old one, shared, in that version. Raises: ApiError."""
        obj, old = self.write.obj, self.write.old
        shown = None if obj is None else await self._shown(_copy(obj), match.resource)
        if shown is not None and old is not None and "metadata" in shown and "metadata" in old:
            shown["metadata"]["resourceVersion"] = old["metadata"].get("resourceVersion", "")
        return shown, None if old is None else await self._shown(old, match.resource)

    async def replace(self, match: Match, changed: Object, *, strict: bool = False) -> None:
        """Make `changed`, an object of that version that was shown before, what is written; `strict`: without
        unknown fields. Raises: ApiError.
        """
        obj = self.write.obj
        assert obj is not None
        if self.write.old is not None and "metadata" in changed:
            changed["metadata"].pop("resourceVersion", None)
        kind = self.kind_of(match)
        if kind is not None:
            _check_kind(kind, changed)
            try:
                unknown = schema.of_kind(kind).decode(changed)
            except ValueError as bad:
                raise internal_error(str(bad)) from bad
            if strict and unknown and kind.schema is None:
                listed = ", ".join(f'unknown field "{path}"' for path in unknown)
                raise internal_error(f"strict decoding error: {listed}")
            schema.default_kind(kind, changed)
        back = await self._back(changed, match.resource)
        obj.clear()
        obj.update(back)

    async def _shown(self, obj: Object, kind: Kind) -> Object:
        if self.write.subresource not in _ITS_OWN:
            return obj
        if kind.storage is None:
            return obj if kind.stored_as is None else kind.from_stored(obj)
        return obj if kind is self.resource else await self._converted(self.resource, kind, obj)

    async def _back(self, obj: Object, kind: Kind) -> Object:
        if self.write.subresource not in _ITS_OWN:
            return obj
        if kind.storage is None:
            return obj if kind.stored_as is None else kind.to_stored(obj)
        return obj if kind is self.resource else await self._converted(kind, self.resource, obj)

    async def _converted(self, source: Kind, target: Kind, obj: Object) -> Object:
        assert source.storage is not None
        assert target.storage is not None
        made = _copy(obj)
        if source.storage.conversion is not None:
            made = (await self._cluster.convert(source, target.version, [made]))[0]
        target.storage.load(made)
        return made

    def _kind_in(self, resource: Kind) -> Gvk:
        obj = self.write.obj or self.write.old
        if self.write.subresource in _ITS_OWN or obj is None:
            return Gvk(resource.group, resource.version, resource.name)
        group, _, version = obj.get("apiVersion", "").rpartition("/")
        return Gvk(group, version, obj.get("kind", ""))

    def kind_of(self, match: Match) -> Kind | None:
        """The kind whose schema the object has; options of connections have none."""
        if self.write.subresource in _ITS_OWN:
            return match.resource
        return self._cluster.kinds.by_kind(*match.kind)


def _check_kind(kind: Kind, changed: Object) -> None:
    """Whether an object is still what it was. Raises: ApiError."""
    named, version = changed.setdefault("kind", kind.name), changed.setdefault("apiVersion", kind.api_version)
    if kind.schema is None and (named, version) != (kind.name, kind.api_version):
        if unknown := registered.not_registered(kind, version, named):
            raise internal_error(unknown)
        raise RemoteError({"message": registered.not_converted(kind, version, named)})


def options_of(write: Attributes) -> Object | None:
    """The options of the operation, as the API words them."""
    request = write.request
    if write.operation == CONNECT:
        return None
    if write.operation == DELETE:
        return _delete_options(write)
    shown: Object = {"kind": f"{write.operation.capitalize()}Options", "apiVersion": _META}
    if request.dry_run:
        shown["dryRun"] = ["All"]
    if request.stated_manager:
        shown["fieldManager"] = request.stated_manager
    if request.field_validation:
        shown["fieldValidation"] = request.field_validation
    return shown


def _delete_options(write: Attributes) -> Object:
    shown: Object = {"kind": "DeleteOptions", "apiVersion": _META}
    given = write.deleting
    if given is not None:
        if given.grace_seconds is not None:
            shown["gracePeriodSeconds"] = given.grace_seconds
        uid = given.uid
        if write.kind.name in ("Namespace", "CustomResourceDefinition") and write.old is not None:
            uid = uid or write.old["metadata"]["uid"]  # upstream's storage names whom it has found
        wanted = {"uid": uid, "resourceVersion": given.revision}
        if preconditions := {name: value for name, value in wanted.items() if value}:
            shown["preconditions"] = preconditions
        if given.propagation:
            shown["propagationPolicy"] = given.propagation
    if write.dry_run:
        shown["dryRun"] = ["All"]
    return shown


def request_of(asked: Asked, match: Match) -> Object:
    """An AdmissionRequest without its uid and its objects."""
    write = asked.write
    user = write.user
    about: Object = {"username": user.name}
    if user.uid:
        about["uid"] = user.uid
    if user.groups:
        about["groups"] = list(user.groups)
    if user.extra:
        about["extra"] = {name: list(values) for name, values in user.extra.items()}
    shown: Object = {"kind": match.kind.json(), "resource": match.resource_json()}
    if write.subresource:
        shown["subResource"] = write.subresource
    shown |= {"requestKind": asked.exact.kind.json(), "requestResource": asked.exact.resource_json()}
    if write.subresource:
        shown["requestSubResource"] = write.subresource
    if write.named:
        shown["name"] = write.named
    if asked.namespace:
        shown["namespace"] = asked.namespace
    shown |= {"operation": asked.operation, "userInfo": about, "dryRun": write.dry_run}
    shown["options"] = options_of(write)
    return shown


def _copy(obj: Object) -> Object:
    made: Object = orjson.loads(orjson.dumps(obj))
    return made
