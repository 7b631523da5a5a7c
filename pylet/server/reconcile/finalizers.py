"""The writes that hold an object back from going, and let it go. Pure."""

from __future__ import annotations

from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.server.reconcile.plan import Action, Update


def with_finalizer(kind: Kind, obj: Object, finalizer: str) -> tuple[Action, ...]:
    """The write that adds it; none when it is there."""
    found = obj["metadata"].get("finalizers") or []
    return () if finalizer in found else (_with(kind, obj, [*found, finalizer]),)


def without_finalizer(kind: Kind, obj: Object, finalizer: str) -> tuple[Action, ...]:
    """The write that takes it away; none when it isn't there."""
    found = obj["metadata"].get("finalizers") or []
    return (_with(kind, obj, [name for name in found if name != finalizer]),) if finalizer in found else ()


def _with(kind: Kind, obj: Object, finalizers: list[str]) -> Action:
    return Update(kind, {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}})
