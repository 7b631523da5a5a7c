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

from pylet.api.causes import Struct
from pylet.api.object import Object

_FIELD: Final = re.compile(r"(?:(\w+)=)?(\w+)([\"#'&\[{-]?)(\w*)(~?)")
_NOTHING: Final[dict[str, Any]] = {'"': "", "#": 0, "-": False, "'": "0"}
_OF_THE_POD: Final = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")
"""What upstream keeps in a pod's security context."""
_ESCAPES: Final = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_ESCAPED: Final = re.compile("[<>&\u2028\u2029]")


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
        if one or not field.omits:
            shown[field.name] = one
    return shown


def shown(struct: str, value: Object | None) -> Struct | None:
    return None if value is None else inside(struct, value)


def difference(old: Any, new: Any) -> str:
    """How two values, as `inside` gives them, differ: a unified diff, each line with its end."""
    lines = unified_diff(_lines(old), _lines(new))
    return "".join(list(lines)[2:])  # there are no files to name


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
    return [line + "\n" for line in _ESCAPED.sub(lambda char: _ESCAPES[char[0]], text).split("\n")]


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
