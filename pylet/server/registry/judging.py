"""Whether what a client writes may be: the version it means, the kind's rules, and those of every object's metadata."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api import causes
from pylet.api.errors import Cause, Conflict, Invalid
from pylet.api.kind import Kind, Strategy
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.registry import customs, metadata
from pylet.server.registry.request import Request


def check_version(kind: Kind, meta: Object, entry: Entry, *, is_patch: bool, is_needed: bool) -> None:
    """Whether the writer means what is there; takes the version out of `meta`. Raises: Conflict, Invalid."""
    if not is_patch:  # a patched uid is an immutable field that changed
        check_uid(kind, meta, entry)
    given = meta.pop("resourceVersion", "")
    if not given or given == "0":
        if is_needed and customs.needs_version(kind):
            why = causes.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise Invalid(kind.group, kind.plural, entry.key.name, (why,))
    elif given != str(entry.revision):
        raise Conflict(kind.group, kind.plural, entry.key.name, Conflict.STALE)


def check_preconditions(kind: Kind, meta: Object, entry: Entry) -> None:
    """Whether what is there has the uid and the version that `meta` names, if any. Raises: Conflict."""
    check_uid(kind, meta, entry)
    if (version := meta.get("resourceVersion")) and version != str(entry.revision):
        why = f"ResourceVersion in precondition: {version}, ResourceVersion in object meta: {entry.revision}"
        raise Conflict(kind.group, kind.plural, entry.key.name, f"Precondition failed: {why}")


def check_uid(kind: Kind, meta: Object, entry: Entry) -> None:
    """Raises: Conflict."""
    if (uid := meta.get("uid")) and uid != entry.uid:
        raise other_uid(kind, entry.key, uid, entry.uid)


def other_uid(kind: Kind, key: Key, asked: str, found: str) -> Conflict:
    why = f"Precondition failed: UID in precondition: {asked}, UID in object meta: {found}"
    return Conflict(kind.group, kind.plural, key.name, why)


def judge(request: Request, kind: Kind, key: Key, obj: Object, old: Object | None) -> None:
    """Warns of what is odd. Raises: Invalid."""
    ruling, meta = _ruling(request, kind), obj["metadata"]
    rules = ruling.strategy
    found: Sequence[Cause]
    try:
        with causes.Bounded():
            if old is None:
                if customs.judges_metadata_last(request.kind):
                    found = rules.validate(obj) or metadata.validate(ruling, meta)
                else:
                    found = [*metadata.validate(ruling, meta), *rules.validate(obj)]
            else:
                found = [*metadata.validate(ruling, meta), *metadata.validate_update(meta, old["metadata"])]
                found += rules.validate_update(obj, old, request.subresource)
    except causes.TooMany as many:
        found = many.causes
    if found:
        raise Invalid(kind.group, kind.name, key.name, found)
    warn(request, kind, obj, old)


def warn(request: Request, kind: Kind, obj: Object, old: Object | None) -> None:
    if not request.subresource:
        rules = _ruling(request, kind).strategy
        request.warnings.extend(rules.warnings(obj) if old is None else rules.update_warnings(obj, old))


def _ruling(request: Request, kind: Kind) -> Kind:
    """Whose rules judge the object, which is of the stored `kind`: the asked-for version's own, if it has any."""
    return kind if type(request.kind.strategy) is Strategy else request.kind
