"""What a JSONPath template is made of, and how it is read: client-go's dialect and wording (`util/jsonpath`)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


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

_Reader: TypeAlias = Callable[[str, int, list[Step]], int]
"""Reads what begins at a place of the text, adds its steps to those before, and tells the place behind it."""

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
    while text[at : at + 1] != "}":
        if at >= len(text) or text[at] in "\r\n":
            raise BadPath("unclosed action")
        at = _reader(text, at)(text, at, steps)
    return tuple(steps), at + 1


def _reader(text: str, at: int) -> _Reader:
    """What reads the step that begins there."""
    if text.startswith("[?(", at):
        return _filter
    if text.startswith("..", at):
        return _descent
    char = text[at]
    if char in _READERS:
        return _READERS[char]
    if char.isdigit():
        return _number
    if char.isalnum() or char == "_":
        return _identifier
    raise BadPath(f"unrecognized character in action: U+{ord(char):04X} '{char}'")


def _inner(text: str) -> Path:
    return _action(f"{text}}}", 0)[0]


def _skip(text: str, at: int, steps: list[Step]) -> int:
    return at + 1


def _child(text: str, at: int, steps: list[Step]) -> int:
    return _field(text, at + 1, steps)


def _descent(text: str, at: int, steps: list[Step]) -> int:
    if steps and isinstance(steps[-1], Descent):
        raise BadPath("invalid multiple recursive descent")
    steps.append(Descent())
    at += 2
    return _field(text, at, steps) if at < len(text) and (text[at].isalnum() or text[at] == "_") else at


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
        steps.append(Slice(_index(first), _index(last), _index(step), single))
    else:
        raise BadPath(f"invalid array index {body}")
    return end + 1


def _index(part: str | None) -> int | None:
    digits = (part or "").removeprefix(":")
    if digits == "-":
        raise BadPath(f"array index {digits} is not a number")
    return int(digits) if digits else None


def _filter(text: str, at: int, steps: list[Step]) -> int:
    at += len("[?(")
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
    steps.append(Filter(_inner(match[1]), match[2], _inner(match[3])) if match else Filter(_inner(body), "exists", ()))
    return at + 2


_READERS: dict[str, _Reader] = {
    **dict.fromkeys(" @$", _skip),
    **dict.fromkeys("\"'", _quote),
    **dict.fromkeys("+-", _number),
    "[": _bracket,
    ".": _child,
}
