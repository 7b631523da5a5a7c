"""kubectl's JSONPath templates: parse once, evaluate on JSON values. Pure.

The dialect and its wording of errors are client-go's (`util/jsonpath`): text outside of braces, `{range}…{end}`,
filters that compare one left with one right side, negative indexes, slices, unions, `..`. A missing key gives nothing.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pylet.cli.kubectl.documents import to_text


class BadPath(ValueError):
    """The template can't be parsed, or not applied to this value."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Field:
    name: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    pass


@dataclass(frozen=True, slots=True)
class Descent:
    pass


@dataclass(frozen=True, slots=True)
class Slice:
    """`single` marks an index `[i]`, which is `[i:i+1]`."""

    first: int | None
    last: int | None
    step: int | None
    single: bool


@dataclass(frozen=True, slots=True)
class Union:
    branches: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    left: Path
    comparison: str
    right: Path


@dataclass(frozen=True, slots=True)
class Word:
    """`range` or `end`."""

    name: str


Step: TypeAlias = Literal | Field | Wildcard | Descent | Slice | Union | Filter | Word
Path: TypeAlias = tuple[Step, ...]
Template: TypeAlias = tuple[Path, ...]

_ENDS_NAME = set(" \t\r\n.,[]$@{}")
_KEY = re.compile(r"^'([^']*)'$")
_SLICE = re.compile(r"^(-?\d*)(:-?\d*)?(:-?\d*)?$")
_COMPARISON = re.compile(r"^([^!<>=]+)([!<>=]+)(.+?)$", re.DOTALL)
_RELAXED = re.compile(r"^\{\.?([^{}]+)\}$|^\.?([^{}]+)$")
_NUMBER = re.compile(r"[+-]?[\d.]+")


def parse(template: str) -> Template:
    """Raises: BadPath."""
    paths: list[Path] = []
    at = 0
    while at < len(template):
        brace = template.find("{", at)
        if brace != at:
            paths.append((Literal(template[at : brace if brace >= 0 else len(template)]),))
        if brace < 0:
            break
        steps, at = _action(template, brace + 1)
        paths.append(steps)
    return tuple(paths)


def relaxed(path: str) -> str:
    """`.a.b`, `a.b` and `{.a.b}` as a template: what custom columns and --sort-by take. Raises: BadPath."""
    match = _RELAXED.match(path)
    if not match:
        raise BadPath(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"
        )
    return f"{{.{match[1] or match[2]}}}"


def _action(text: str, at: int) -> tuple[Path, int]:
    """The steps up to the closing brace, and the place behind it."""
    steps: list[Step] = []
    while True:
        if at >= len(text) or text[at] in "\r\n":
            raise BadPath("unclosed action")
        char = text[at]
        if char == "}":
            return tuple(steps), at + 1
        if text.startswith("[?(", at):
            step, at = _filter(text, at + 3)
            steps.append(step)
        elif text.startswith("..", at):
            if steps and isinstance(steps[-1], Descent):
                raise BadPath("invalid multiple recursive descent")
            steps.append(Descent())
            at += 2
            if at < len(text) and (text[at].isalnum() or text[at] == "_"):
                at = _field(text, at, steps)
        elif char in " @$":
            at += 1
        elif char == "[":
            at = _bracket(text, at, steps)
        elif char in "\"'":
            at = _quote(text, at, steps)
        elif char == ".":
            at = _field(text, at + 1, steps)
        elif char in "+-" or char.isdigit():
            at = _number(text, at, steps)
        elif char.isalnum() or char == "_":
            at = _identifier(text, at, steps)
        else:
            raise BadPath(f"unrecognized character in action: U+{ord(char):04X} '{char}'")


def _inner(text: str) -> Path:
    return _action(f"{text}}}", 0)[0]


def _field(text: str, at: int, steps: list[Step]) -> int:
    start = at
    while at < len(text) and text[at] not in _ENDS_NAME:
        at += 2 if text[at] == "\\" else 1
    name = text[start:at]
    steps.append(Wildcard() if name == "*" else Field(name.replace("\\", "")))
    return at


def _identifier(text: str, at: int, steps: list[Step]) -> int:
    start = at
    while at < len(text) and text[at] not in _ENDS_NAME:
        at += 1
    name = text[start:at]
    if name in ("true", "false"):
        steps.append(Literal(name == "true"))
    elif name in ("range", "end"):
        steps.append(Word(name))
    else:
        raise BadPath(f"unrecognized identifier {name}")
    return at


def _number(text: str, at: int, steps: list[Step]) -> int:
    match = _NUMBER.match(text, at)
    word = match[0] if match else text[at]
    try:
        steps.append(Literal(float(word) if "." in word else int(word)))
    except ValueError:
        raise BadPath(f"cannot parse number {word}") from None
    return at + len(word)


def _quote(text: str, at: int, steps: list[Step]) -> int:
    end = at + 1
    while end < len(text) and (text[end] != text[at] or text[end - 1] == "\\"):
        end += 1
    if end >= len(text) or "\n" in text[at:end]:
        raise BadPath("unterminated quoted string")
    body = text[at + 1 : end]
    if text[at] == "'":
        body = body.replace("\\'", "'").replace('"', '\\"')
    try:
        steps.append(Literal(json.loads(f'"{body}"')))
    except ValueError:
        raise BadPath(f"unquote string {text[at : end + 1]} error invalid syntax") from None
    return end + 1


def _bracket(text: str, at: int, steps: list[Step]) -> int:
    end = text.find("]", at)
    if end < 0:
        raise BadPath("unterminated array")
    body = text[at + 1 : end]
    body = ":" if body == "*" else body
    parts = body.split(",")
    if len(parts) > 1:
        steps.append(Union(tuple(_inner(f"[{part.strip()}]") for part in parts)))
    elif key := _KEY.match(body):
        steps += _inner(f".{key[1]}")
    elif (match := _SLICE.match(body)) and body:
        first, last, step = match.groups()
        single = last is None
        number = [int(part.lstrip(":")) if part and part != ":" else None for part in (first, last, step)]
        steps.append(Slice(number[0], number[1], number[2], single))
    else:
        raise BadPath(f"invalid array index {body}")
    return end + 1


def _filter(text: str, at: int) -> tuple[Filter, int]:
    start, quote = at, ""
    while at < len(text) and (quote or text[at] != ")"):
        if quote and text[at] == quote and text[at - 1] != "\\":
            quote = ""
        elif not quote and text[at] in "\"'":
            quote = text[at]
        at += 1
    if at >= len(text):
        raise BadPath("unterminated filter")
    if text[at + 1 : at + 2] != "]":
        raise BadPath("unclosed array expect ]")
    body = text[start:at]
    match = _COMPARISON.match(body)
    step = Filter(_inner(match[1]), match[2], _inner(match[3])) if match else Filter(_inner(body), "exists", ())
    return step, at + 2


def find(template: Template, value: Any) -> list[list[Any]]:
    """The results of every part of the template, in order. Raises: BadPath."""
    results, _ = _run(template, 0, value, depth=0)
    return results


def _run(template: Template, at: int, value: Any, *, depth: int) -> tuple[list[list[Any]], int]:
    """Results from part `at` on until the end of the template or of the range, and where that was."""
    results: list[list[Any]] = []
    while at < len(template):
        part = template[at]
        words = [step.name for step in part if isinstance(step, Word)]
        at += 1
        if "end" in words:
            if not depth:
                raise BadPath("not in range, nothing to end")
            return results, at
        if "range" in words:
            items = _walk([value], tuple(step for step in part if not isinstance(step, Word)))
            end = len(template)
            for item in items or [None]:
                inner, end = _run(template, at, item, depth=depth + 1)
                if items:
                    results += inner
            at = end
        else:
            results.append(_walk([value], part))
    return results, at


def _walk(values: list[Any], path: Path) -> list[Any]:
    for step in path:
        values = _step(values, step)
    return values


def _step(values: list[Any], step: Step) -> list[Any]:
    match step:
        case Literal(value):
            return [value]
        case Field(name):
            return [v[name] for v in values if isinstance(v, dict) and name in v]
        case Wildcard():
            return [child for v in values for child in _children(v)]
        case Descent():
            return [deep for v in values for deep in _deep(v)]
        case Slice():
            return [item for v in values if v is not None for item in _sliced(v, step)]
        case Union(branches):
            return [found for branch in branches for found in _walk(values, branch)]
        case Filter():
            return [item for v in values for item in _filtered(v, step)]
        case Word():
            return values


def _children(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _deep(value: Any) -> list[Any]:
    """The containers in a value, itself first."""
    children = _children(value)
    return [value, *(deep for child in children for deep in _deep(child))] if children else []


def _sliced(value: Any, step: Slice) -> list[Any]:
    if not isinstance(value, list):
        raise BadPath(f"{_go_type(value)} is not array or slice")
    length = len(value)
    first = step.first or 0
    first += length if first < 0 else 0
    if step.single:
        last = first + 1
    else:
        last = length if step.last is None else step.last
        last += length if last < 0 else 0
    if first == last:
        return []
    if not 0 <= first < length:
        raise BadPath(f"array index out of bounds: index {first}, length {length}")
    if not 0 <= last <= length:
        raise BadPath(f"array index out of bounds: index {last - 1}, length {length}")
    if first > last:
        raise BadPath(f"starting index {first} is greater than ending index {last}")
    if step.step is not None and step.step <= 0:
        raise BadPath("step must be > 0")
    return value[first : last : step.step or 1]


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _filtered(value: Any, step: Filter) -> list[Any]:
    if not isinstance(value, list):
        raise BadPath(f"{to_text(value)} is not array or slice and cannot be filtered")
    return [item for item in value if _passes(item, step)]


def _passes(item: Any, step: Filter) -> bool:
    lefts = _walk([item], step.left)
    if step.comparison == "exists":
        return bool(lefts)
    rights = _walk([item], step.right)
    if len(lefts) > 1 or len(rights) > 1:
        raise BadPath("can only compare one element at a time")
    if not lefts or not rights:
        return False
    compare = _OPERATORS.get(step.comparison)
    if compare is None:
        raise BadPath(f"unrecognized filter operator {step.comparison}")
    try:
        return bool(compare(lefts[0], rights[0]))
    except TypeError:
        raise BadPath("incompatible types for comparison") from None


def _go_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int():
            return "int64"
        case float():
            return "float64"
    return "map[string]interface {}"


def render(template: Template, value: Any) -> str:
    """What `-o jsonpath=` prints. Raises: BadPath."""
    return "".join(" ".join(map(to_text, results)) for results in find(template, value))
