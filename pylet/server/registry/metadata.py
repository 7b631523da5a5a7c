"""The rules of `metadata`, the same for every kind.

Source: apiserver pkg/registry/rest/{meta,create,update}.go, apimachinery pkg/api/validation/objectmeta.go.
"""

from __future__ import annotations

from typing import Any

import orjson

from pylet.api import causes, golang, names
from pylet.api.errors import BadRequest, Cause
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.server import suffix
from pylet.server.registry import customs

_GENERATED_BASE = 63 - suffix.LENGTH
_ANNOTATIONS_BYTES = 256 << 10
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_SYSTEM_FIELDS = ("creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
NAMESPACE_MISMATCH = "the namespace of the provided object does not match the namespace sent on the request"


def begin_create(kind: Kind, obj: Object, namespace: str) -> None:
    """Take from a new object what only the server may say. Raises: BadRequest."""
    meta = obj["metadata"]
    for field in _SYSTEM_FIELDS:
        meta.pop(field, None)
    place_in(kind, meta, namespace)


def end_create(meta: Object, *, dry_run: bool) -> None:
    """The last thing that can be wrong, once all others have looked at the object: upstream's store says so, which
    ends in a 500 there, and which a dry run does not reach. Raises: BadRequest."""
    revision = meta.get("resourceVersion", "")
    if not (revision.isdecimal() and int(revision[:20])):  # what is no number is nobody's version
        meta.pop("resourceVersion", None)
    elif not dry_run:
        raise BadRequest("resourceVersion should not be set on objects to be created")


def generate_name(base: str) -> str:
    return base[:_GENERATED_BASE] + suffix.random_suffix()


def place_in(kind: Kind, meta: Object, namespace: str) -> None:
    """Make the object's namespace the request's. Raises: BadRequest."""
    if not kind.namespaced:
        meta.pop("namespace", None)
    elif meta.setdefault("namespace", namespace) != namespace:
        raise BadRequest(NAMESPACE_MISMATCH)


def check_name(kind: Kind, meta: Object, key: Key) -> None:
    """Whether an update is about the object its URL names. Raises: BadRequest."""
    place_in(kind, meta, key.namespace)
    name = meta.get("name") or ""
    if not name:
        raise BadRequest(f"the name of the object ({key.name} based on URL) was undeterminable: name must be provided")
    if name != key.name:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({key.name})")


def carry_over(meta: Object, old: Object) -> None:
    """Keep what an update can neither change nor drop."""
    for field in ("uid", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if field in old and field not in meta:
            meta[field] = old[field]
    for field in ("creationTimestamp", "deletionTimestamp"):
        if field in old:
            meta[field] = old[field]
    meta.pop("selfLink", None)


def dedupe_owners(meta: Object, warnings: list[str], when: str = "") -> None:
    """`when`: told with the warning. Source: apiserver pkg/endpoints/handlers, dedupOwnerReferencesAndAddWarning."""
    owners: list[Object] = meta.get("ownerReferences") or []
    if len(owners) < 2:
        return
    kept: dict[bytes, Object] = {}
    doubled: list[str] = []
    for owner in owners:
        if kept.setdefault(orjson.dumps(owner, option=orjson.OPT_SORT_KEYS), owner) is not owner:
            doubled.append(owner.get("uid", ""))
    if doubled:
        meta["ownerReferences"] = list(kept.values())
        warnings.append(
            f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, "
            "and may reject such requests as early as 1.24; please fix your requests; "
            f"duplicate UID(s) observed: {', '.join(doubled)}"
        )


def validate(kind: Kind, meta: Object) -> list[Cause]:
    """What is wrong with the metadata that an object of the kind would be stored with."""
    found: list[Cause] = []
    if generated := meta.get("generateName"):
        # What follows makes a dash at its end one within.
        masked = generated[:-2] + "a" if len(generated) > 1 and generated[-1] == "-" else generated
        found += causes.each("metadata.generateName", generated, kind.strategy.name_problems(masked))
    if not meta.get("name"):
        found.append(causes.required("metadata.name", "name or generateName is required"))
    else:
        found += causes.each("metadata.name", meta["name"], kind.strategy.name_problems(meta["name"]))
    if kind.namespaced:
        namespace = meta.get("namespace") or ""
        if not namespace:
            found.append(causes.required("metadata.namespace"))
        else:
            found += causes.each("metadata.namespace", namespace, names.dns_label(namespace))
    if meta.get("generation", 0) < 0:
        found.append(causes.invalid("metadata.generation", meta["generation"], "must be greater than or equal to 0"))
    if labels := meta.get("labels"):
        found += _labels(labels)
    if annotations := meta.get("annotations"):
        found += _annotations(annotations)
    if owners := meta.get("ownerReferences"):
        found += _owners(owners)
    if finalizers := meta.get("finalizers"):
        found += _finalizers(finalizers)
        if customs.knows_finalizers(kind):
            found += _unknown_finalizers(finalizers)
    return found


def validate_update(meta: Object, old: Object) -> list[Cause]:
    """What changed and must not; to be asked beside `validate`."""
    found: list[Cause] = []
    if "deletionTimestamp" in old:
        extra = sorted(set(meta.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if extra:
            listed = "[]string{" + ", ".join(map(causes.quoted, extra)) + "}"
            why = "no new finalizers can be added if the object is being deleted, found new finalizers " + listed
            found.append(causes.forbidden("metadata.finalizers", why))
    if generated := meta.get("generateName"):
        found += causes.each("metadata.generateName", generated, names.path_segment_prefix(generated))
    for field in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        found += causes.immutable(f"metadata.{field}", meta.get(field), old.get(field))
    return found


def _labels(labels: dict[str, str]) -> list[Cause]:
    found: list[Cause] = []
    for key, value in labels.items():
        if problems := names.qualified_name(key):
            found += causes.each("metadata.labels", key, problems)
        if problems := names.label_value(value):
            found += causes.each("metadata.labels", value, problems)
    return found


def _annotations(annotations: dict[str, str]) -> list[Cause]:
    found: list[Cause] = []
    size = 0
    for key, value in annotations.items():
        if problems := names.qualified_name(key.lower()):
            found += causes.each("metadata.annotations", key, problems)
        size += len(key) + len(value)
    if size > _ANNOTATIONS_BYTES // 4:  # characters are at most four bytes: count exactly only when it may matter
        size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
        if size > _ANNOTATIONS_BYTES:
            found.append(causes.too_long("metadata.annotations", _ANNOTATIONS_BYTES))
    return found


def _owners(owners: list[Object]) -> list[Cause]:
    found: list[Cause] = []
    controller = ""
    for owner in owners:
        where = "metadata.ownerReferences"
        api_version: Any = owner.get("apiVersion") or ""
        if not api_version.rpartition("/")[2] or api_version.count("/") > 1:
            found.append(causes.invalid(f"{where}.apiVersion", api_version, "version must not be empty"))
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                found.append(causes.invalid(f"{where}.{field}", owner.get(field) or "", "must not be empty"))
        if (api_version, owner.get("kind")) == ("v1", "Event"):
            shown = golang.inside("OwnerReference", owner)
            found.append(causes.invalid(where, shown, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            named = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                why = (
                    "Only one reference can have Controller set to true. "
                    f'Found "true" in references for {controller} and {named}'
                )
                found.append(causes.invalid(where, owners, why))
            controller = controller or named
    return found


def _unknown_finalizers(finalizers: list[str]) -> list[Cause]:
    why = "name is neither a standard finalizer name nor is it fully qualified"
    return [
        causes.invalid(f"metadata.finalizers[{position}]", name, why)
        for position, name in enumerate(finalizers)
        if "/" not in name and name not in _STANDARD_FINALIZERS
    ]


def _finalizers(finalizers: list[str]) -> list[Cause]:
    found: list[Cause] = []
    for finalizer in finalizers:
        found += causes.each("metadata.finalizers", finalizer, names.qualified_name(finalizer))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(causes.invalid("metadata.finalizers", finalizers, why))
    return found
