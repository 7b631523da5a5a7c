"""A CustomResourceDefinition as Kinds, one for each served version.

A Kind keeps the definition's bytes, which the watch cache holds anyway, and compiles its schema when its first object
comes: a definition that nobody uses costs a few hundred bytes.
Source: apiextensions-apiserver pkg/apiserver/customresource_handler.go, pkg/registry/customresource.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from pylet.api import causes, names
from pylet.api.crd import columns, defaulting, embedded, jsonpath, pruning, validation
from pylet.api.crd.structural import UNSET, Structural, as_root
from pylet.api.crd.versions import priority
from pylet.api.errors import Cause
from pylet.api.kind import Kind, ScalePaths, Strategy
from pylet.api.object import Object, dig

if TYPE_CHECKING:
    from pylet.api.schema.node import Node

_INT32 = (1 << 31) - 1
_BLOCKING = frozenset(
    f"FieldValue{word}" for word in ("NotSupported", "Required", "TooLong", "TooMany", "TypeInvalid")
)  # reasons after which rules are not asked
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_KNOWN_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


Timed: TypeAlias = Callable[[str, Callable[[], Any]], Any]
"""Does what it is given, and counts how long that takes; the text is compilation or evaluation."""


def untimed(what: str, do: Callable[[], Any]) -> Any:
    return do()


def kinds_of(definition: bytes, timed: Timed = untimed) -> list[Kind]:
    """The kinds of an established definition, given as JSON: the stored version's last, when it is served at all.

    `timed` has the rules compiled and evaluated.
    """
    crd = orjson.loads(definition)
    spec, accepted = crd["spec"], crd["status"]["acceptedNames"]
    stored = next(version["name"] for version in spec["versions"] if version["storage"])
    conversion = spec.get("conversion") or {}
    webhook = conversion.get("webhook") if conversion.get("strategy") == "Webhook" else None
    schemas = {version["name"]: CustomSchema(definition, version["name"], timed) for version in spec["versions"]}
    scales = {
        version["name"]: scale_paths(scale)
        for version in spec["versions"]
        if (scale := (version.get("subresources") or {}).get("scale"))
    }
    stores = {
        version["name"]: CustomStorage(spec["group"], stored, webhook, schemas, scales, version["name"])
        for version in spec["versions"]
        if version["served"]
    }
    made = [
        _kind(spec, accepted, version, stores[version["name"]])
        for version in spec["versions"]
        if version["name"] in stores
    ]
    for storage in stores.values():
        storage.preferred = max(made, key=lambda kind: priority(kind.version))
    return sorted(made, key=lambda kind: kind.version == stored)


def _kind(spec: Object, accepted: Object, version: Object, storage: CustomStorage) -> Kind:
    name = version["name"]
    schema = storage.schemas[name]
    scale = storage.scales.get(name)
    has_status = (version.get("subresources") or {}).get("status") is not None
    listed = columns.of_version(version)
    return Kind(
        group=spec["group"],
        version=name,
        name=accepted["kind"],
        plural=accepted["plural"],
        definition="",
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(accepted.get("shortNames") or ()),
        categories=tuple(accepted.get("categories") or ()),
        subresources=tuple(word for word, there in (("status", has_status), ("scale", scale)) if there),
        strategy=CustomStrategy(schema, scale, has_status=has_status),
        columns=tuple(listed),
        cells=_cells_of(listed),
        fields={
            field["jsonPath"].removeprefix("."): _reads(field["jsonPath"])
            for field in version.get("selectableFields") or ()
        },
        schema=schema,
        storage=storage,
        singular_name=accepted.get("singular") or "",
        list_name=accepted.get("listKind") or "",
        scale=scale,
        warning=_deprecation(spec, accepted, version),
    )


def scale_paths(scale: Object) -> ScalePaths:
    spec, status = (tuple(scale[word].strip(".").split(".")) for word in ("specReplicasPath", "statusReplicasPath"))
    selector = scale.get("labelSelectorPath") or ""
    return ScalePaths(spec, status, tuple(selector.strip(".").split(".")) if selector else ())


def _reads(path: str) -> Callable[[Object], str]:
    steps = jsonpath.parse(path)

    def read(obj: Object) -> str:
        return columns.printed(jsonpath.first(steps, obj))

    return read


def _cells_of(listed: Sequence[columns.CustomColumn]) -> Callable[[Object, datetime], list[Any]]:
    def cells(obj: Object, now: datetime) -> list[Any]:
        return [column.cell(obj, now) for column in listed]

    return cells


def _deprecation(spec: Object, accepted: Object, version: Object) -> str:
    if not version.get("deprecated"):
        return ""
    if (told := version.get("deprecationWarning")) is not None:
        return str(told)
    group, kind = spec["group"], accepted["kind"]
    says = f"{group}/{version['name']} {kind} is deprecated"
    rest = [other["name"] for other in spec["versions"] if other["served"] and not other.get("deprecated")]
    newest = max(rest, key=priority, default="")
    if newest and priority(newest) > priority(version["name"]):
        says += f"; use {group}/{newest} {kind}"
    return says


class CustomSchema:
    """The schema of one version: `pylet.api.kind.Schema`, compiled on first use."""

    __slots__ = ("_definition", "_root", "_rules", "timed", "version")

    def __init__(self, definition: bytes, version: str, timed: Timed) -> None:
        self._definition = definition
        self.timed = timed
        self.version = version
        self._root: Structural | None = None
        self._rules: Any = UNSET

    @property
    def root(self) -> Structural:
        root = self._root
        if root is None:
            root = self._root = as_root(self.published)
            if dig(orjson.loads(self._definition), "spec", "preserveUnknownFields"):
                root.preserves = True
        return root

    @property
    def published(self) -> Object:
        """openAPIV3Schema as it was written; {} where there is none."""
        versions = orjson.loads(self._definition)["spec"]["versions"]
        version = next(version for version in versions if version["name"] == self.version)
        found: Object = dig(version, "schema", "openAPIV3Schema", default={})
        return found

    @property
    def rules(self) -> Any:
        """What x-kubernetes-validations ask for, compiled; None when nothing."""
        if self._rules is UNSET:
            self._rules = None
            if b"x-kubernetes-validations" in self._definition:
                from pylet.api.cel.rules import compile_rules

                self._rules = self.timed("compilation", lambda: compile_rules(self.published))
        return self._rules

    def child(self, name: str) -> Node | None:
        return self.root.child(name)

    def decode(self, obj: Object) -> list[str]:
        """Raises: ValueError, with upstream's words."""
        unknown: list[str] = []
        try:
            pruning.coerce(obj, self.root, "", unknown)
            pruned: list[str] = []
            pruning.prune(obj, self.root, "", pruned)
        except RecursionError as deep:
            raise ValueError("exceeded max depth") from deep
        own = sorted(path for path in unknown if path.startswith("metadata."))
        return [*own, *sorted(pruned), *sorted(set(unknown).difference(own))]

    def default(self, obj: Object) -> None:
        pruning.prune_nulls(obj, self.root)
        defaulting.default(obj, self.root)


class CustomStorage:
    """Where and how objects are kept: `pylet.api.kind.Storage`."""

    __slots__ = ("_name", "conversion", "group", "preferred", "scales", "schemas", "version")

    def __init__(
        self,
        group: str,
        version: str,
        conversion: Object | None,
        schemas: Mapping[str, CustomSchema],
        scales: Mapping[str, ScalePaths],
        name: str,
    ) -> None:
        self.group = group
        self.version = version
        self.conversion = conversion
        self.schemas = schemas
        self.scales = scales
        self.preferred: Kind  # told once all versions are made
        self._name = name

    def load(self, obj: Object) -> bool:
        api_version = f"{self.group}/{self._name}"
        changed = bool(obj["apiVersion"] != api_version)
        obj["apiVersion"] = api_version
        lost: list[str] = []
        meta = obj["metadata"]
        if self._name == self.version or self.conversion is None:
            changed |= _complete(obj, self.schemas[self.version].root, lost)
        if self._name != self.version:  # a converted object loses what its version does not know, and gets nothing
            pruning.prune(obj, self.schemas[self._name].root, "", lost)
        obj["metadata"] = meta
        return changed or bool(lost)

    def complete(self, obj: Object) -> None:
        schema = self.schemas.get(obj["apiVersion"].rpartition("/")[2])
        if schema is not None:
            _complete(obj, schema.root, [])

    def renamed(self, obj: Object) -> Object:
        kept: Object = orjson.loads(orjson.dumps(obj))
        kept["apiVersion"] = f"{self.group}/{self.version}"
        root = self.schemas[self.version].root
        pruning.prune(kept, root, "", [])
        defaulting.default(kept, root)
        return kept


def _complete(obj: Object, root: Structural, lost: list[str]) -> bool:
    """What the store held, by the schema of its version, in place; whether defaults came to it."""
    meta = obj["metadata"]
    pruning.prune(obj, root, "", lost)
    pruning.prune_nulls(obj, root)
    changed = defaulting.default(obj, root)
    obj["metadata"] = meta
    return changed


class CustomStrategy(Strategy):
    has_generation = True
    new_status = None

    def __init__(self, schema: CustomSchema, scale: ScalePaths | None, *, has_status: bool) -> None:
        self._schema = schema
        self._scale = scale
        self.has_status = has_status

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        if subresource != "status":
            super().prepare_update(obj, old, subresource)
            return
        status, managed = obj.get("status", UNSET), obj["metadata"].get("managedFields")
        meta = {**old["metadata"]}
        meta.pop("managedFields", None)
        if managed is not None:
            meta["managedFields"] = managed
        obj.clear()
        obj |= {**{name: value for name, value in old.items() if name != "status"}, "metadata": meta}
        if status is not UNSET:
            obj["status"] = status

    def spec_changed(self, obj: Object, old: Object) -> bool:
        names_ = obj.keys() | old.keys()
        return any(obj.get(name) != old.get(name) for name in names_ - {"metadata"})

    def validate(self, obj: Object) -> Sequence[Cause]:
        found = validation.validate(obj, self._schema.root)
        found += self._scale_problems(obj, spec=True)
        found += embedded.problems(obj, self._schema.root)
        found += validation.list_problems(obj, self._schema.root)
        return self._with_rules(found, obj, None)

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        root = self._schema.root
        if subresource == "status":
            node = root.of("status")
            found: list[Cause] = []
            if node is not None and "status" in obj:
                found += [
                    Cause(cause.reason, cause.message, f"status.{cause.field}".rstrip("."))
                    for cause in validation.validate(obj["status"], node, "", old.get("status", UNSET))
                ]
            found += self._scale_problems(obj, spec=False)
        else:
            found = validation.validate(obj, root, old=old)
            found += self._scale_problems(obj, spec=True)
        found += embedded.problems(obj, root)
        if not validation.list_problems(old, root):
            found += validation.list_problems(obj, root)
        return self._with_rules(found, obj, old)

    def _with_rules(self, found: list[Cause], obj: Object, old: Object | None) -> list[Cause]:
        rules = self._schema.rules
        if rules is None:
            return found
        if any(cause.reason in _BLOCKING for cause in found):
            return [*found, Cause("FieldValueInvalid", f"Invalid value: null: {_UNCHECKED}", "<nil>")]
        return [*found, *self._schema.timed("evaluation", lambda: rules.validate(obj, old, ""))]

    def _scale_problems(self, obj: Object, *, spec: bool) -> list[Cause]:
        if self._scale is None:
            return []
        found = _count_problems(obj, self._scale.spec) if spec else []
        found += _count_problems(obj, self._scale.status)
        if self._scale.selector:
            found += _accessor_problems(obj, self._scale.selector, str)
        return found

    def warnings(self, obj: Object) -> Sequence[str]:
        found = []
        for name in sorted(obj["metadata"].get("finalizers") or ()):
            found += [f'metadata.finalizers: "{name}": {problem}' for problem in names.qualified_name(name)]
            if "/" not in name and name not in _KNOWN_FINALIZERS:
                path = " including a path (/)" if "." in name else ""
                found.append(
                    f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name{path} to avoid '
                    "accidental conflicts with other finalizer writers"
                )
        return found


_GO_TYPES = {
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    type(None): "<nil>",
}


def _accessor_problems(obj: Object, path: tuple[str, ...], type_: type[int] | type[str]) -> list[Cause]:
    """What is in the way to a value of that type. Source: apimachinery unstructured.NestedInt64, NestedString."""
    where, value = "." + ".".join(path), obj
    for name in path:
        if not isinstance(value, dict):
            return [_inaccessible(where, value, "map[string]interface{}", type_())]
        if name not in value:
            return []
        value = value[name]
    if isinstance(value, type_) and not isinstance(value, bool):
        return []
    return [_inaccessible(where, value, _GO_TYPES[type_], type_())]


def _inaccessible(where: str, value: Any, expected: str, shown: int | str) -> Cause:
    text = str(value).lower() if isinstance(value, bool) else "<nil>" if value is None else value
    if isinstance(value, float) and value.is_integer():
        text = int(value)
    why = f"{where} accessor error: {text} is of the type {_GO_TYPES[type(value)]}, expected {expected}"
    return causes.invalid(where, shown, why)


def _count_problems(obj: Object, path: tuple[str, ...]) -> list[Cause]:
    if wrong := _accessor_problems(obj, path, int):
        return wrong
    value, where = dig(obj, *path, default=0), "." + ".".join(path)
    if value < 0:
        return [causes.invalid(where, value, "should be a non-negative integer")]
    if value > _INT32:
        return [causes.invalid(where, value, f"should be less than or equal to {_INT32}")]
    return []
