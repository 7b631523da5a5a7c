"""Whether what a client writes may be: the version it means, the kind's rules, and those of every object's metadata."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api import causes
from pylet.api.errors import Cause, Conflict, Invalid
from pylet.api.kind import Kind, Strategy
from pylet.api.object import Key, Object
from pylet.api.schema import emptied
from pylet.client.view import Entry
from pylet.server.registry import customs, metadata
from pylet.server.registry.request import Request


def check_version(request: Request, meta: Object, entry: Entry, *, is_needed: bool) -> None:
    """Whether the writer means what is there; takes the version out of `meta`. Raises: Conflict, Invalid."""
    kind = request.kind
    if request.verb != "patch":  # a patched uid is an immutable field that changed
        check_uid(request, meta, entry)
    given = meta.pop("resourceVersion", "")
    if not given or given == "0":
        if is_needed and customs.needs_version(kind):
            why = causes.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise Invalid(kind.group, kind.plural, entry.key.name, (why,))
    elif given != str(entry.revision):
        raise Conflict(kind.group, kind.plural, entry.key.name, Conflict.STALE)


def check_preconditions(request: Request, meta: Object, entry: Entry) -> None:
    """Whether what is there has the uid and the version that `meta` names, if any. Raises: Conflict."""
    check_uid(request, meta, entry)
    if (version := meta.get("resourceVersion")) and version != str(entry.revision):
        raise _failed(request, entry.key, "ResourceVersion", version, str(entry.revision))


def check_uid(request: Request, meta: Object, entry: Entry) -> None:
    """Raises: Conflict."""
    if (uid := meta.get("uid")) and uid != entry.uid:
        raise other_uid(request, entry.key, uid, entry.uid)


def other_uid(request: Request, key: Key, asked: str, found: str) -> Conflict:
    return _failed(request, key, "UID", asked, found)


def _failed(request: Request, key: Key, field: str, asked: str, found: str) -> Conflict:
    """Upstream's store says so, and where it looked. Source: apiserver pkg/storage (StorageError, Preconditions)."""
    kind = request.kind
    why = f"Precondition failed: {field} in precondition: {asked}, {field} in object meta: {found}"
    place = customs.place(kind, key, is_whole=not request.dry_run)
    told = f"StorageError: invalid object, Code: 4, Key: {place}, ResourceVersion: 0, AdditionalErrorMsg: {why}"
    return Conflict(kind.group, kind.plural, key.name, told)


def judge(request: Request, kind: Kind, key: Key, obj: Object, old: Object | None) -> None:
    """Warns of what is odd. Raises: Invalid."""
    found = _found(request, kind, obj, old)
    if found:
        with emptied.Shown() as differs:
            again = _found(request, kind, obj, old) if differs else found
        # What is empty is not another value than what is absent, so that no more may be wrong now.
        is_worded_anew = [(one.reason, one.field) for one in again] == [(one.reason, one.field) for one in found]
        raise Invalid(kind.group, kind.name, key.name, again if is_worded_anew else found)
    warn(request, kind, obj, old)


def _found(request: Request, kind: Kind, obj: Object, old: Object | None) -> Sequence[Cause]:
    ruling, meta = _ruling(request, kind), obj["metadata"]
    rules = ruling.strategy
    try:
        with causes.Bounded():
            if old is None:
                if customs.judges_metadata_last(request.kind):
                    return rules.validate(obj) or metadata.validate(ruling, meta)
                return [*metadata.validate(ruling, meta), *rules.validate(obj)]
            found = [*metadata.validate(ruling, meta), *metadata.validate_update(meta, old["metadata"])]
            return [*found, *rules.validate_update(obj, old, request.subresource)]
    except causes.TooMany as many:
        return many.causes


def warn(request: Request, kind: Kind, obj: Object, old: Object | None) -> None:
    if not request.subresource:
        rules = _ruling(request, kind).strategy
        request.warnings.extend(rules.warnings(obj) if old is None else rules.update_warnings(obj, old))


def _ruling(request: Request, kind: Kind) -> Kind:
    """Whose rules judge the object, which is of the stored `kind`: the asked-for version's own, if it has any."""
    return kind if type(request.kind.strategy) is Strategy else request.kind
