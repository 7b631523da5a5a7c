"""Values as upstream's messages print them: its own structs, which have no JSON names, and how two of them differ.

Such a struct shows every field under Go's name, in Go's order (go_structs.txt).
Source: apimachinery pkg/util/validation/field/errors.go, pkg/util/diff.
"""

from __future__ import annotations

import json
import re
from difflib import unified_diff
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from pylet.api import causes, gojson
from pylet.api.causes import Struct
from pylet.api.errors import Cause
from pylet.api.object import Object

_FIELD: Final = re.compile(r"(?:(\w+)=)?(\w+)([\"#'&\[{-]?)(\w*)(~?)")
_NOTHING: Final[dict[str, Any]] = {'"': "", "#": 0, "-": False, "'": "0"}
_OF_THE_POD: Final = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
"""What upstream keeps in a pod's security context."""
_MOST_LINES: Final = 4000  # 20 ms
_CONTEXT: Final = 3


class _Field(NamedTuple):
    published: str
    name: str
    mark: str
    struct: str
    omits: bool


def inside(struct: str, value: Object) -> Struct:
    """The published `value` as upstream's own struct of that name (without its package)."""
    if struct == "PodSpec":
        moved = {name: value[name] for name in _OF_THE_POD if name in value}
        value = {**value, "securityContext": {**(value.get("securityContext") or {}), **moved}}
    given = {name.lower(): one for name, one in value.items()}
    given |= {name.lower(): one for name, one in (given.get("metadata") or {}).items()}  # which templates embed
    shown = Struct()
    for field in _structs()[struct]:
        one = _held(field, given.get(field.published))
        if one or not field.omits or (one is False and not field.mark):  # a pointer to false is something
            shown[field.name] = one
    return shown


def shown(struct: str, value: Object | None) -> Struct | None:
    return None if value is None else inside(struct, value)


def immutable(field: str, struct: str, value: Object | None, old: Object | None) -> list[Cause]:
    """Invalid when the value changed, which is of that struct."""
    return causes.immutable(field, shown(struct, value), shown(struct, old))


def difference(old: Any, new: Any) -> str:
    """How two values, as `inside` gives them, differ: a unified diff, each line with its end.

    Of very many lines all between the first and the last that differ: to match them up can take minutes.
    """
    before, after = _lines(old), _lines(new)
    if len(before) + len(after) > _MOST_LINES:
        return _from_first_to_last(before, after)
    return "".join(list(unified_diff(before, after))[2:])  # there are no files to name


def _from_first_to_last(before: list[str], after: list[str]) -> str:
    """One hunk."""
    first = _alike(before, after)
    rest = _alike(before[first:][::-1], after[first:][::-1])
    ends = len(before) - rest, len(after) - rest
    begin, tail = max(0, first - _CONTEXT), before[ends[0] : ends[0] + _CONTEXT]
    counts = (end - begin + len(tail) for end in ends)
    ranges = [f"{begin + 1},{count}" if count != 1 else f"{begin + 1}" for count in counts]
    shown = [f"@@ -{ranges[0]} +{ranges[1]} @@\n", *(" " + line for line in before[begin:first])]
    shown += ["-" + line for line in before[first : ends[0]]]
    shown += ["+" + line for line in after[first : ends[1]]]
    return "".join([*shown, *(" " + line for line in tail)])


def _alike(before: list[str], after: list[str]) -> int:
    """How many lines they begin with are the same."""
    pairs = zip(before, after, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))


def _held(field: _Field, value: Any) -> Any:
    match field.mark:
        case "{":
            return inside(field.struct, value or {})
        case "&":
            return None if value is None else inside(field.struct, value)
        case "[":
            return None if value is None else [inside(field.struct, one) for one in value]
    if value is None:
        return _NOTHING.get(field.mark)
    return dict(sorted(value.items())) if isinstance(value, dict) else value


def _lines(value: Any) -> list[str]:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return [line + "\n" for line in gojson.escaped(text).split("\n")]


@cache
def _structs() -> dict[str, list[_Field]]:
    found: dict[str, list[_Field]] = {}
    for line in (Path(__file__).parent / "go_structs.txt").read_text().splitlines():
        if not line.startswith("#"):
            struct, *fields = line.split()
            found[struct] = [_field(text) for text in fields]
    return found


def _field(text: str) -> _Field:
    match = _FIELD.fullmatch(text)
    assert match is not None, text
    published, name, mark, struct, omits = match.groups()
    return _Field((published or name).lower(), name, mark, struct, bool(omits))
