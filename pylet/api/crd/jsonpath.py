"""Simple JSON paths, as printer columns, selectable fields and scale use them: `.a.b[0]['c.d'][?(@.x=="y")].z`.

Not here: the templates of kubectl's output. Source: client-go util/jsonpath.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

_STEP = re.compile(
    r"""\.\.(?P<deep>[\w\-*]*)
      | \.?\[\?\(\s*@(?P<where>[^=!<>)]*?)\s*
          (?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<literal>'[^']*'|"[^"]*"|[^)]+?)\s*)?\)\]
      | \.?\[(?P<quote>['"])(?P<quoted>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\] | \.?\[(?P<index>-?\d+|\*)\]
      | \.?\[(?P<first>-?\d*):(?P<last>-?\d*)\] | \.(?P<name>(?:\\.|[^.\[\]\\])*) """,
    re.VERBOSE,
)  # fmt: skip


class Step(NamedTuple):
    """`kind` is name, index, slice, all, deep or where; `value` is what it is about."""

    kind: str
    value: Any


def parse(path: str) -> tuple[Step, ...]:
    """Raises: ValueError."""
    if path in ("", "."):
        return ()
    text = path if path[0] in ".[" else f".{path}"
    steps: list[Step] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None or found.end() == position:
            raise ValueError(f"unrecognized JSON path {path!r} at {position}")
        position = found.end()
        step = _step(found)
        if step is not None:
            steps.append(step)
    return tuple(steps)


def _step(found: re.Match[str]) -> Step | None:
    part = found.groupdict()
    if part["deep"] is not None:
        return Step("deep", part["deep"])
    if part["where"] is not None:
        literal = part["literal"]
        return Step("where", (parse(part["where"]), part["op"] or "", None if literal is None else _literal(literal)))
    if part["quoted"] is not None:
        return Step("name", re.sub(r"\\(.)", r"\1", part["quoted"]))
    if part["index"] is not None:
        return Step("all", None) if part["index"] == "*" else Step("index", int(part["index"]))
    if part["first"] is not None:
        return Step("slice", slice(*(int(end) if end else None for end in (part["first"], part["last"]))))
    name = re.sub(r"\\(.)", r"\1", part["name"])
    if not name:
        return None
    return Step("all", None) if name == "*" else Step("name", name)


def _literal(text: str) -> Any:
    if text[:1] in "'\"":
        return text[1:-1]
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as bad:
        raise ValueError(f"unrecognized literal {text!r}") from bad


def find(steps: Sequence[Step], value: Any) -> Iterator[Any]:
    """Everything the path leads to; what is missing is passed over."""
    if not steps:
        yield value
        return
    (kind, about), rest = steps[0], steps[1:]
    for inner in _inner(kind, about, value):
        yield from find(rest, inner)


def first(steps: Sequence[Step], value: Any) -> Any:
    return next(find(steps, value), None)


def _inner(kind: str, about: Any, value: Any) -> Iterator[Any]:
    match kind, value:
        case "name", dict():
            if about in value:
                yield value[about]
        case "index", list():
            if -len(value) <= about < len(value):
                yield value[about]
        case "slice", list():
            yield from value[about]
        case "all", dict():
            yield from value.values()
        case "all", list():
            yield from value
        case "where", list():
            steps, op, literal = about
            yield from (item for item in value if _holds(steps, op, literal, item))
        case "deep", _:
            yield from _deep(about, value)


def _deep(name: str, value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for inner in value.values():
            yield from _deep(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _deep(name, inner)


def _holds(steps: Sequence[Step], op: str, literal: Any, item: Any) -> bool:
    values = list(find(steps, item))
    if not op:
        return bool(values)
    if not values:
        return False
    value = values[0]
    if op in ("==", "!="):
        return (value == literal) is (op == "==")
    if type(value) is not type(literal) and not all(isinstance(one, int | float) for one in (value, literal)):
        return False
    return bool({"<": value < literal, "<=": value <= literal, ">": value > literal, ">=": value >= literal}[op])
