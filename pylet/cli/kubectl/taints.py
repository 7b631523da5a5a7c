"""Taints as `KEY=VALUE:EFFECT` and what adding and removing makes of a node's list. Pure.

Source: kubectl `pkg/cmd/taint/utils.go`, whose wording of errors this keeps.
"""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.errors import aggregated
from pylet.api.object import Object

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class BadTaint(ValueError):
    """The words can't be read as taints, or not be applied to this node."""


def split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Resources and taints. Raises: BadTaint."""
    words: list[str] = []
    changes: list[str] = []
    for arg in args:
        if "=" in arg or ":" in arg or arg.endswith("-"):
            changes.append(arg)
        elif changes:
            raise BadTaint(f"all resources must be specified before taint changes: {arg}")
        else:
            words.append(arg)
    return words, changes


def parse(changes: Sequence[str]) -> tuple[list[Object], list[Object]]:
    """What to add and what to remove. Raises: BadTaint."""
    put: list[Object] = []
    gone: list[Object] = []
    for change in changes:
        taint = _taint(change.removesuffix("-"))
        if change.endswith("-"):
            gone.append(taint)
            continue
        if not taint["effect"]:
            raise BadTaint(f"invalid taint spec: {change}")
        if any(_same(taint, other) for other in put):
            shown = "{" + f"{taint['key']} {taint.get('value', '')} {taint['effect']} <nil>" + "}"
            raise BadTaint(f"duplicated taints with the same key and effect: {shown}")
        put.append(taint)
    return put, gone


def _taint(text: str) -> Object:
    assigned, colon, effect = text.partition(":")
    if colon and effect not in _EFFECTS:
        raise BadTaint(f"invalid taint effect: {effect}, unsupported taint effect")
    key, *values = assigned.split("=") if colon else [assigned]
    if len(values) > 1 or not key:
        raise BadTaint(f"invalid taint spec: {text}")
    taint = {"key": key, "effect": effect}
    return {**taint, "value": values[0]} if values and values[0] else taint


def conflicts(put: Sequence[Object], gone: Sequence[Object]) -> list[str]:
    """What is both added and removed."""
    return [f"{old['key']}={old['effect']}" for new in put for old in gone if _matches(new, old)]


def apply(
    now: Sequence[Object], put: Sequence[Object], gone: Sequence[Object], *, overwrite: bool
) -> tuple[list[Object], str]:
    """The node's taints afterwards and the word for what happened. Raises: BadTaint."""
    if not overwrite:
        taken = [taint["key"] for taint in put if any(_same(taint, old) for old in now)]
        if taken:
            raise BadTaint(f"already has {','.join(taken)} taint(s) with same effect(s) and --overwrite is false")
    wanted = [*put, *(old for old in now if not any(_same(old, taint) for taint in put))]
    added = len(wanted) != len(now)
    removed = False
    missing = []
    for old in gone:
        left = [taint for taint in wanted if not _matches(taint, old)]
        removed = len(left) != len(wanted)
        wanted = left
        if not removed:
            missing.append(f'taint "{old["key"]}{":" if old["effect"] else ""}{old["effect"]}" not found')
    if missing:
        raise BadTaint(aggregated(missing))
    if (added and removed) or overwrite:
        return wanted, "modified"
    return wanted, "tainted" if added else "untainted"


def _same(one: Object, other: Object) -> bool:
    return (one["key"], one["effect"]) == (other["key"], other["effect"])


def _matches(taint: Object, wanted: Object) -> bool:
    return taint["key"] == wanted["key"] and wanted["effect"] in ("", taint["effect"])
