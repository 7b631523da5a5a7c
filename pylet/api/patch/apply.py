"""Field ownership: what an update and a server-side apply make of an object and of its owners.

Source: sigs.k8s.io/structured-merge-diff/v6 merge/update.go, apimachinery pkg/util/managedfields/internal
(structuredmerge.go, managedfieldsupdater.go, skipnonapplied.go, lastappliedmanager.go, lastappliedupdater.go).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import orjson

from pylet.api.errors import ApiError
from pylet.api.object import Object
from pylet.api.patch import checking, typed
from pylet.api.patch.fieldset import Set, difference, intersection, ordered, paths, union
from pylet.api.patch.managed import APPLY, UPDATE, Managed, Manager, Owned, capped, stripped
from pylet.api.patch.shape import Shape

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_BEFORE_FIRST_APPLY: Final = "before-first-apply"
_ANNOTATIONS_BYTES: Final = 256 << 10


class Unconvertible(ValueError):
    """An object that cannot be converted to the version of one of its owners, in upstream's words."""


class Versions(Protocol):
    """The versions one resource has."""

    is_fixed: bool
    """Whether what a version knows never changes; a custom resource's may."""

    def shape(self, api_version: str) -> Shape | None:
        """None for a version that is not served any more, whose owners are forgotten. Raises: Unconvertible."""

    def convert(self, obj: Object, api_version: str) -> Object:
        """`obj`, of the version its apiVersion names, in another that has a shape; a new object, or `obj` itself.

        Raises: Unconvertible.
        """


@dataclass(frozen=True, slots=True)
class Write:
    """One write: by whom (`name`), through which version and subresource; `ignored` fields cannot change by it.

    What built-in kinds ignore is the same in all versions; a custom resource's version speaks for itself alone.
    """

    name: str
    api_version: str
    subresource: str
    ignored: Set
    versions: Versions
    now: str

    def ignored_in(self, api_version: str) -> Set:
        return self.ignored if self.versions.is_fixed or api_version == self.api_version else {}

    def manager(self, operation: str) -> Manager:
        return Manager.of(self.name, operation, self.api_version, self.subresource)

    @property
    def shape(self) -> Shape:
        shape = self.versions.shape(self.api_version)
        assert shape is not None
        return shape


class FieldConflict(ApiError):
    """Fields that an apply wants to set otherwise belong to others: 409, one cause for each."""

    code, reason = 409, "Conflict"

    def __init__(self, conflicts: dict[Manager, Set]) -> None:
        self.conflicts = conflicts
        found = [(manager, path) for manager in sorted(conflicts) for path in paths(conflicts[manager])]
        causes = [
            {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
            for manager, path in found
        ]
        if len(found) == 1:
            says = f"1 conflict: conflict with {found[0][0]}: {found[0][1]}"
        else:
            lines: list[str] = []
            for manager in sorted(conflicts):
                lines.append(f"conflicts with {manager}:")
                lines += [f"- {path}" for other, path in found if other == manager]
            says = f"{len(found)} conflicts: " + "\n".join(lines)
        super().__init__(f"Apply failed with {says}", details={"causes": causes})


# ---- update


def updated(old: Object, new: Object, managed: Managed, write: Write) -> Managed:
    """The owners after `write` made `new` of `old` ({}: it creates it); `managed` itself when nothing changed.

    Raises: ValueError.
    """
    managed = _reconciled(old, managed, write)
    changes = typed.compare(old, new, write.shape).without(write.ignored)
    if not changes and (write.versions.is_fixed or all(o.api_version == write.api_version for o in managed.values())):
        return managed
    result = _yielded(old, new, changes, managed, write, keep=None)
    fields = stripped(changes.touched)
    if changes.modified and changes.added:
        fields = ordered(fields)  # what one walk made is in order
    if fields:
        manager = write.manager(UPDATE)
        previous = result.get(manager)
        if previous is not None:
            fields = ordered(stripped(union(fields, previous.fields)))
        result[manager] = Owned(fields, write.api_version, write.now)
    return capped(result)


def _reconciled(live: Object, managed: Managed, write: Write) -> Managed:
    """The owners whose versions are there still, of fields as their schemas know them by now."""
    result = managed
    for manager, owned in managed.items():
        version = owned.api_version
        if write.versions.is_fixed and version == write.api_version:
            continue
        shape = write.versions.shape(version)
        if shape is not None:
            _in_version(live, version, write)
            fields = owned.fields if write.versions.is_fixed else typed.regrouped(owned.fields, shape)
            if fields is owned.fields:
                continue
        if result is managed:
            result = dict(managed)
        if shape is None:
            del result[manager]
        else:
            result[manager] = owned.with_fields(fields)
    return result


def _in_version(obj: Object, api_version: str, write: Write, told: str = "") -> Object:
    """`obj` in a version that has a shape. Raises: Unconvertible, whose words begin with `told`."""
    if obj.get("apiVersion", api_version) == api_version:
        return obj
    try:
        converted = write.versions.convert(obj, api_version)
        shape = write.versions.shape(api_version)
        assert shape is not None
        checking.check(converted, shape)
    except ValueError as failed:
        raise Unconvertible(f"{told}{failed}") from failed
    return converted


def _yielded(
    old: Object, new: Object, changes: typed.Changes, managed: Managed, write: Write, *, keep: Manager | None
) -> Managed:
    """What is left to everybody but `keep` once fields have changed hands or gone."""
    result: Managed = {}
    for manager, owned, seen in _seen(old, new, changes, managed, write):
        if manager == keep:
            result[manager] = owned
            continue
        fields = owned.fields
        if lost := intersection(fields, seen.touched):
            fields = difference(fields, lost)
        if seen.removed:
            fields = difference(fields, seen.removed)
        if fields:
            result[manager] = owned.with_fields(fields)
    return result


def _seen(
    old: Object, new: Object, changes: typed.Changes, managed: Managed, write: Write
) -> list[tuple[Manager, Owned, typed.Changes]]:
    """Each owner with the changes in the owner's own version."""
    by_version = {write.api_version: changes}
    found = []
    for manager, owned in managed.items():
        version = owned.api_version
        if version not in by_version:
            shape = write.versions.shape(version)
            assert shape is not None
            before = _in_version(old, version, write, "failed to convert old object: ")
            after = _in_version(new, version, write, "failed to convert new object: ")
            by_version[version] = typed.compare(before, after, shape).without(write.ignored_in(version))
        found.append((manager, owned, by_version[version]))
    return found


# ---- apply


def applied(live: Object, config: Object, managed: Managed, write: Write, *, force: bool) -> tuple[Object, Managed]:
    """The object ({} `live`: a new one) and its owners after `config` was applied; nobody's nulls are left to drop.

    Raises: FieldConflict; Misfit, for a config that is not of its schema; Unconvertible.
    """
    if not managed and live:
        managed = updated({}, live, managed, replace(write, name=_BEFORE_FIRST_APPLY))
    try:
        merged, result = _apply(live, config, managed, write, force=force)
    except FieldConflict as conflict:
        if write.name != "kubectl" or (allowed := _last_applied_fields(live, write)) is None:
            raise
        left = {m: rest for m, fields in conflict.conflicts.items() if (rest := difference(fields, allowed))}
        if left:
            raise FieldConflict(left) from conflict
        merged, result = _apply(live, config, managed, write, force=True)
    if write.name == "kubectl":
        _refresh_last_applied(merged, config)
    return merged, result


def _apply(live: Object, config: Object, managed: Managed, write: Write, *, force: bool) -> tuple[Object, Managed]:
    shape = write.shape
    checking.check(config, shape)
    managed = _reconciled(live, managed, write)
    manager = write.manager(APPLY)
    last = managed.get(manager)
    fields = difference(typed.fields_of(config, shape), write.ignored, recursive=True)
    managed = {**managed, manager: Owned(fields, write.api_version, write.now)}
    merged: Object = typed.merge(live, config, shape)
    if last is not None and last.fields:
        merged = _pruned(merged, managed, last, write)
    every = typed.compare(live, merged, shape)
    changes = every.without(write.ignored)
    if not force:
        conflicts: dict[Manager, Set] = {}
        for other, owned, seen in _seen(live, merged, changes, managed, write):
            if other != manager and (both := intersection(owned.fields, seen.touched)):
                conflicts[other] = both
        if conflicts:
            raise FieldConflict(conflicts)
    result = _yielded(live, merged, changes, managed, write, keep=manager)
    fields = ordered(stripped(fields))
    if fields:
        # Where the object stays as it is, so does the time.
        time = write.now if every else last.time if last is not None else None
        result[manager] = Owned(fields, write.api_version, time)
    else:
        result.pop(manager, None)
    return merged, result


def _pruned(merged: Object, managed: Managed, last: Owned, write: Write) -> Object:
    """Without what the manager's last configuration set, this one does not, and nobody else owns."""
    told = "failed to prune fields: "
    shape = write.versions.shape(last.api_version)
    assert shape is not None
    whole = _in_version(
        merged, last.api_version, write, f"{told}failed to convert merged object to last applied version: "
    )
    once = typed.with_named(last.fields, shape)
    pruned = typed.remove(whole, once, shape)
    owned_by_version: dict[str, Set] = {}
    for owned in managed.values():
        owned_by_version[owned.api_version] = union(owned_by_version.get(owned.api_version, {}), owned.fields)
    first = [version for version in owned_by_version if version == last.api_version]
    back = whole
    for version in [*first, *(version for version in owned_by_version if version not in first)]:
        other = write.versions.shape(version)
        assert other is not None
        failed = f"{told}failed add back owned items: failed to convert {{}} object at version {version}: "
        back = _in_version(back, version, write, failed.format("merged"))
        pruned = _in_version(pruned, version, write, failed.format("pruned"))
        everything = typed.with_named(typed.fields_of(back, other), other)
        left = typed.with_named(typed.fields_of(pruned, other), other)
        kept = union(left, typed.with_named(owned_by_version[version], other))
        pruned = typed.remove(back, difference(everything, kept), other)
    failed = f"{told}failed add back dangling items: failed to convert pruned object to last applied version: "
    pruned = _in_version(pruned, last.api_version, write, failed)
    left = typed.with_named(typed.fields_of(pruned, shape), shape)
    everything = typed.with_named(typed.fields_of(whole, shape), shape)
    dangling = intersection(difference(everything, left), once)
    result: Object = typed.remove(whole, dangling, shape)
    return _in_version(result, write.api_version, write, told)


# ---- objects that kubectl applied client-side before


def _last_applied_fields(live: Object, write: Write) -> Set | None:
    """The fields a client-side apply set and nobody changed since; None when there was none."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        last: Any = orjson.loads(text or "")
        if not isinstance(last, dict) or last.get("apiVersion") != write.api_version:
            return None
        checking.check(last, write.shape)
        changes = typed.compare(last, live, write.shape)
    except ValueError:
        return None
    fields = typed.fields_of(last, write.shape)
    for changed in (changes.modified, changes.added, changes.removed):
        fields = difference(fields, changed)
    return fields


def _refresh_last_applied(merged: Object, config: Object) -> None:
    """Keep the annotation true as long as it is there."""
    meta = merged.get("metadata") or {}
    annotations = meta.get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return
    wanted = {**config, "metadata": {**(config.get("metadata") or {})}}
    if own := wanted["metadata"].get("annotations"):
        wanted["metadata"]["annotations"] = {k: v for k, v in own.items() if k != LAST_APPLIED}
    text = orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    fresh = {**annotations, LAST_APPLIED: text}
    if sum(len(k.encode()) + len(v.encode()) for k, v in fresh.items()) > _ANNOTATIONS_BYTES:
        del fresh[LAST_APPLIED]
    merged["metadata"] = {**meta, "annotations": fresh}
