"""YAML as JSON: what sigs.k8s.io/yaml accepts, bounded in depth and aliases.

Built from the parser's events: the C loader composes nodes recursively, and a deep document would end the process.
Imported only when somebody sends YAML. Duplicate keys are reported, not refused: the caller decides.
"""

from __future__ import annotations

import base64
import math
import re
from typing import Any, Final

import yaml

from pylet.api.errors import BadRequest, RequestEntityTooLarge
from pylet.api.wire.weight import MOST, OBJECT, VALUE

_MOST_DEPTH: Final = 200
_VALUE: Final = 2 * VALUE  # reading one takes as much longer
_FIELD: Final = OBJECT
_MOST_DIGITS: Final = 1000  # what is longer is a text: the patterns of numbers take 0.1 s and 80 MB a megabyte
_TAG: Final = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+")
_LETTERS: Final = ("y", "n")
_OCTAL = re.compile("0o[0-7]+")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(raw: bytes) -> tuple[Any, list[str]]:
    """The first document as JSON values, and in go-yaml's words which keys are written twice.

    Raises: BadRequest, RequestEntityTooLarge.
    """
    try:
        loader = _Loader(raw)
        try:
            return _Reader(loader).document()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as bad:
        raise BadRequest(f"error converting YAML to JSON: yaml: {_place(bad)}{bad.problem}") from bad
    except (IndexError, KeyError) as bad:  # PyYAML's, of `!!int` and `!!bool` that are none
        raise BadRequest(f"error converting YAML to JSON: yaml: cannot decode a scalar: {bad}") from bad
    except (yaml.YAMLError, ValueError, OverflowError) as bad:
        raise BadRequest(f"error converting YAML to JSON: yaml: {bad}") from bad


def _place(bad: yaml.MarkedYAMLError) -> str:
    """Where go-yaml sees the problem: nowhere, in a first line."""
    marks = [mark.line for mark in (bad.context_mark, bad.problem_mark) if mark and mark.line]
    return f"line {marks[0] + isinstance(bad, yaml.scanner.ScannerError)}: " if marks else ""


class _Reader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._next = loader.get_event
        self._weight = 0
        self._anchored: dict[str, Any] = {}
        self._duplicates: list[str] = []

    def document(self) -> tuple[Any, list[str]]:
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None, []
        return self._value(self._next(), "", 0), self._duplicates

    def _value(self, event: Any, path: str, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise ValueError(f"exceeded max depth of {_MOST_DEPTH}")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                raise ValueError(f"unknown anchor '{event.anchor}' referenced")
            return self._copy(self._anchored[event.anchor])
        self._weigh(OBJECT if isinstance(event, yaml.MappingStartEvent) else _VALUE)
        if isinstance(event, yaml.MappingStartEvent):
            value: Any = self._mapping(path, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(item := self._next(), yaml.SequenceEndEvent):
                value.append(self._value(item, f"{path}[{len(value)}]", depth + 1))
        else:
            value = self._scalar(event)
        if event.anchor is not None:
            self._anchored[event.anchor] = value
        return value

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[Any] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
                raise ValueError(f"line {_line(event)}: invalid map key")
            name = self._value(event, path, depth + 1)
            self._weigh(_FIELD - 2 * _VALUE)  # what name and value weigh by themselves
            if isinstance(name, dict | list):
                raise ValueError(f"line {_line(event)}: invalid map key")
            key = name if isinstance(name, str) else _spelled(name)
            where = f"{path}.{key}" if path else key
            value = self._value(self._next(), where, depth + 1)
            if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                merged += value if isinstance(value, list) else [value]
                continue
            if key in found:
                self._duplicates.append(f'line {_line(event)}: key "{key}" already set in map')
            found[key] = value
        for other in merged:
            if not isinstance(other, dict):
                raise ValueError("map merge requires map or sequence of maps as the value")
            found = {**other, **found}
        return found

    def _scalar(self, event: Any) -> Any:
        tag: str = event.tag
        if (tag is None or tag == "!") and len(event.value) > _MOST_DIGITS:
            return event.value
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
            if event.implicit[0]:
                tag = _go_tag(tag, event.value)
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        match tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                text = event.value.lower()
                return text == "y" if text in _LETTERS else self._loader.construct_yaml_bool(node)
            case "int":
                octal = event.value.startswith("0o")
                whole = int(event.value, 8) if octal else self._loader.construct_yaml_int(node)
                return whole if -(1 << 63) <= whole < 1 << 64 else float(whole)  # as JSON's are read
            case "float":
                number = self._loader.construct_yaml_float(node)
                if not math.isfinite(number):
                    raise ValueError(f"line {_line(event)}: unsupported value: {event.value}")
                return number
            case "binary":
                return base64.b64decode(event.value).decode("latin-1")
        return event.value

    def _copy(self, value: Any) -> Any:
        """What an alias stands for, anew: objects are changed in place later. It counts as often as it is used."""
        self._weight += OBJECT + len(value) * (_FIELD - _VALUE) if isinstance(value, dict) else _VALUE
        if self._weight > MOST:
            raise ValueError("document contains excessive aliasing")
        if isinstance(value, dict):
            return {name: self._copy(inner) for name, inner in value.items()}
        return [self._copy(inner) for inner in value] if isinstance(value, list) else value

    def _weigh(self, weight: int) -> None:
        self._weight += weight
        if self._weight > MOST:
            says = f"it has more than {MOST // _FIELD} fields and objects or {MOST // _VALUE} values"
            raise RequestEntityTooLarge(f"Request entity too large: {says}")


def _go_tag(tag: str, text: str) -> str:
    """Where go-yaml reads a plain scalar differently: `22:22` is no number, `1e3` and `0o17` are; `y` is true."""
    if ":" in text and tag in (_TAG + "int", _TAG + "float"):
        return _TAG + "str"
    if tag == _TAG + "str" and text.lower() in _LETTERS:
        return _TAG + "bool"
    if tag == _TAG + "str" and _EXPONENT.fullmatch(text):
        return _TAG + "float"
    return _TAG + "int" if tag == _TAG + "str" and _OCTAL.fullmatch(text) else tag


def _line(event: Any) -> int:
    line: int = event.start_mark.line + 1
    return line


def _spelled(key: Any) -> str:
    """A key that is no string, in its JSON spelling."""
    return str(key).lower() if key is True or key is False else "null" if key is None else str(key)
