"""What a patch has made of an object's kind and apiVersion: how the object is decoded, or why it is not.

Source: apimachinery pkg/runtime/serializer/{json,versioning}, apiextensions-apiserver's customresource validator.
"""

from __future__ import annotations

from pylet.api import causes, kinds, schema
from pylet.api.errors import Cause, Invalid
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.patch import json_word
from pylet.api.schema import emptied
from pylet.api.wire import registered
from pylet.api.wire.decode import NO_KIND

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def decoded(kind: Kind, obj: Object, known: Object, text: str) -> tuple[Object, list[str]]:
    """The object, whose JSON is `text`, as one of the built-in `kind`, and its unknown fields.

    It may share parts with `known`. What does not say of which version it is, is taken for upstream's internal one.
    Raises: ValueError.
    """
    if (obj.get("apiVersion"), obj.get("kind")) == (kind.api_version, kind.name):
        return obj, decode_changed(kind, obj, known)
    group, version = _version(obj)
    named = obj.get("kind") or kind.name
    if not version and group in ("", registered.internal_group(kind)):
        group, version = registered.internal_group(kind), registered.INTERNAL
    if not version:
        raise ValueError(f"Object 'apiVersion' is missing in '{text}'")
    api_version = f"{group}/{version}" if group else version
    of = kinds.by_kind(group, version, named)
    if named == kind.name and (group, version) == (registered.internal_group(kind), registered.INTERNAL):
        return _internal(kind, obj)
    if of is None or (of.stored_as or of) is not (kind.stored_as or kind):
        why = registered.not_registered(kind, api_version, named)
        raise ValueError(why or registered.not_converted(kind, api_version, named))
    obj["kind"], obj["apiVersion"] = named, api_version
    if of is kind:
        return obj, decode_changed(kind, obj, known)
    unknown = schema.of_kind(of).decode(obj)
    return kind.from_stored(of.to_stored(obj)), unknown


def decode_changed(kind: Kind, obj: Object, known: Object) -> list[str]:
    """Decode `obj` in place, but for the parts it shares with `known`, which was decoded when it was written.

    Answers its unknown fields. Raises: ValueError.
    """
    fresh = {name: value for name, value in obj.items() if name not in known or known[name] is not value}
    parts = list(fresh)
    unknown = schema.of_kind(kind).decode(fresh)
    emptied.move(fresh, obj)
    for name in parts:
        if name in fresh:
            obj[name] = fresh[name]
        else:
            del obj[name]
    return unknown


def _internal(kind: Kind, obj: Object) -> tuple[Object, list[str]]:
    """Upstream's internal structs have no names in JSON, but for those of the metadata they embed."""
    known = schema.of(_OBJECT_META)
    meta = {name: value for name, value in obj.items() if known.child(name) is not None}
    try:
        unknown = known.decode(meta)
    except schema.Mismatch as misfit:
        misfit.struct, misfit.fields = kind.name, ["ObjectMeta", *misfit.fields]
        raise
    unknown += [name for name in obj if known.child(name) is None and name not in ("kind", "apiVersion")]
    return {"kind": kind.name, "apiVersion": kind.api_version, "metadata": meta}, unknown


def check_custom(kind: Kind, obj: Object, name: str, text: str) -> None:
    """Whether what was the custom resource `name`, and whose JSON is `text` now, still says so.

    Raises: ValueError; Invalid.
    """
    group, version = _version(obj)
    if not obj.get("kind"):
        raise ValueError(f"Object 'Kind' is missing in '{text}'")
    if obj.get("apiVersion", "") is None:
        raise ValueError(".apiVersion accessor error: <nil> is of the type <nil>, expected string")
    found: list[Cause] = []
    api_version = f"{group}/{version}" if group else version
    for field, given, wanted in (("kind", obj["kind"], kind.name), ("apiVersion", api_version, kind.api_version)):
        if given != wanted:
            found.append(causes.invalid(field, given, f"must be {wanted}"))
    if found:
        raise Invalid(group, obj["kind"], name, found)


def _version(obj: Object) -> tuple[str, str]:
    """Group and version. Raises: ValueError, for what cannot be read."""
    for field in ("apiVersion", "kind"):
        if not isinstance(obj.get(field), str | None):
            wrong = f"json: cannot unmarshal {json_word(obj[field])} into Go struct field .{field} of type string"
            raise ValueError(NO_KIND + wrong)
    text = obj.get("apiVersion") or ""
    if text.count("/") > 1:
        raise ValueError(f"unexpected GroupVersion string: {text}")
    group, _, version = text.rpartition("/")
    return group, version
