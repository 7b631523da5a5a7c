"""What a kind is: its names, scope and subresources, and the pure rules it adds to the generic registry.

One file in `pylet.api.kinds` declares one `KIND`. A kind without rules of its own writes no Strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pylet.api import names
from pylet.api.errors import Cause
from pylet.api.object import Object

if TYPE_CHECKING:
    from pylet.api.schema.node import Node

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; priority 1 shows only with `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


class Strategy:
    """A kind's own rules on the write path; every hook has the behaviour most kinds want.

    `obj` is always the registry's private copy: prepare hooks change it in place. `old` is shared and never changed.
    `subresource` is "" for the object itself, else "status", "resize", …. Order, on every write: default →
    admission → prepare → validate → compare-and-swap.
    """

    def prepare_create(self, obj: Object) -> None:
        """Drop what a client may not set; upstream's PrepareForCreate."""
        if self.has_status:
            obj.pop("status", None)
            if self.new_status is not None:
                obj["status"] = {**self.new_status}
        if self.has_generation:
            obj["metadata"]["generation"] = 1

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        """Keep what this (sub)resource may not change; upstream's PrepareForUpdate."""
        if subresource == "status":
            # Labels, annotations, finalizers and owners may change with the status; the rest stays.
            changed: Object = {name: obj[name] for name in ("metadata", "status") if name in obj}
            if self.status_keeps_metadata:
                kept = {name: obj["metadata"][name] for name in ("managedFields",) if name in obj["metadata"]}
                changed["metadata"] = {**old["metadata"], **kept}
            obj.clear()
            obj |= {name: value for name, value in old.items() if name != "status"}
            obj |= changed
        elif self.has_status:
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = old["status"]
        if self.has_generation:
            meta = obj["metadata"]
            meta["generation"] = old["metadata"].get("generation", 1) + (
                not subresource and self.spec_changed(obj, old)
            )

    def spec_changed(self, obj: Object, old: Object) -> bool:
        """Whether this update raises `metadata.generation`."""
        return bool(obj.get("spec") != old.get("spec"))

    def name_problems(self, name: str) -> Sequence[str]:
        """What is wrong with `metadata.name`; most kinds take a DNS subdomain."""
        return names.dns_subdomain(name)

    def validate(self, obj: Object) -> Sequence[Cause]:
        """What is wrong with anything but `metadata`, which the registry judges."""
        return ()

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        return self.validate(obj)

    def warnings(self, obj: Object) -> Sequence[str]:
        """Texts for the `Warning` header of a create; writes of subresources warn of nothing."""
        return ()

    def update_warnings(self, obj: Object, old: Object) -> Sequence[str]:
        return self.warnings(obj)

    def delete_grace_seconds(self, obj: Object, asked: int | None) -> int | None:
        """Seconds between deletionTimestamp and removal; None for a kind that is removed at once.

        `asked` is DeleteOptions.gracePeriodSeconds. Only Pods wait (upstream's RESTGracefulDeleteStrategy).
        """
        return None

    new_status: ClassVar[Mapping[str, Any] | None] = {}
    """What a new object's status says, where it has one: what Go prints of the empty struct; None for nothing."""
    has_status: bool = False
    has_generation: bool = False
    status_keeps_metadata: bool = False
    """Whether writes of the status leave labels, annotations and finalizers alone; ResetObjectMetaForStatus."""


class Schema(Protocol):
    """What a kind without a published definition brings itself; `schema.node.Struct` says what the methods do."""

    def __hash__(self) -> int: ...

    def decode(self, obj: Object) -> list[str]: ...

    def child(self, name: str) -> Node | None: ...

    def default(self, obj: Object) -> None: ...


class Storage(Protocol):
    """How a version of a custom resource is kept: all versions share their place in the store, and each is a Kind with
    a cache of its own. `conversion` is the webhook that converts between versions, None where renaming does."""

    version: str
    """The version new objects are stored in."""
    conversion: Object | None

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """By the name of every version, served or not."""

    @property
    def scales(self) -> Mapping[str, ScalePaths]:
        """Of the versions that have the scale subresource."""

    @property
    def preferred(self) -> Kind:
        """The served version that clients take who name none."""

    def load(self, obj: Object) -> bool:
        """Make what the store held, already converted, an object of this version, in place; whether that changed it."""
        ...

    def complete(self, obj: Object) -> None:
        """Make what the store held, not yet converted, an object of the version that it says, in place."""
        ...

    def renamed(self, obj: Object) -> Object:
        """`obj` as it is stored: of the stored version, by renaming and that version's schema."""
        ...


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a custom resource keeps what its `scale` subresource shows: field names from the object down."""

    spec: tuple[str, ...]
    status: tuple[str, ...]
    selector: tuple[str, ...] = ()


def _same(obj: Object) -> Object:
    return obj


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One served kind; identity is object identity (`POD is POD`), so a Kind is a dictionary key.

    `definition` names its schema (`io.k8s.api.core.v1.Pod`). `fields` are the selectable fields beyond metadata.name
    and metadata.namespace, each with how to read it ("" when absent); those of a kind that is stored as another are the
    other's readers under its own names. `subresources` name those it has beside itself.
    `cells` gives one value for each of `columns`, from the object and the time; a kind without them shows Name and Age.
    `row_order` is what a Table sorts its rows by, if not by namespace and name.
    `stored_as` points to another Kind when this is only another version or group of the same storage; `to_stored` and
    `from_stored` then turn this kind's objects into that one's and back (new objects, never in place); its `strategy`,
    if it has one, judges what is written through it, in the stored form.

    Custom resources (`api.crd`) bring `schema` and `storage` of their own, may name singular and list as they like,
    have `scale` where they have that subresource, and `warning` where the version is deprecated.
    """

    group: str
    version: str
    name: str
    plural: str
    definition: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    strategy: Strategy = field(default_factory=Strategy)
    columns: tuple[Column, ...] = ()
    cells: Callable[[Object, datetime], list[Any]] | None = None
    row_order: Callable[[Object], Any] | None = None
    fields: Mapping[str, Callable[[Object], str]] = field(default_factory=dict)
    stored_as: Kind | None = None
    to_stored: Callable[[Object], Object] = _same
    from_stored: Callable[[Object], Object] = _same
    schema: Schema | None = None
    storage: Storage | None = None
    singular_name: str = ""
    list_name: str = ""
    scale: ScalePaths | None = None
    warning: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.singular_name or self.name.lower()

    @property
    def scaled_as(self) -> Kind:
        """The version through whose scale controllers see and change what is stored as this one.

        As for all clients it is the preferred one, unless only a webhook knows what that shows.
        """
        if self.storage is None or self.storage.conversion is not None:
            return self
        return self.storage.preferred

    @property
    def list_kind(self) -> str:
        return self.list_name or f"{self.name}List"

    @property
    def resource(self) -> str:
        """The qualified resource, as messages name it: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection (no `name`) or of one object; `namespace` "" spans all namespaces."""
        parts = ["/apis", self.group] if self.group else ["/api"]
        parts.append(self.version)
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)

    def __repr__(self) -> str:
        return f"<Kind {self.name} {self.api_version}>"
