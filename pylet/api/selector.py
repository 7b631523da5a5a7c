"""Label selectors, as text and as LabelSelector objects, and field selectors: parsed once, asked often.

Source: apimachinery pkg/labels/selector.go, pkg/fields/selector.go; the ValueErrors bear their messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.object import Object

Labels = Mapping[str, str]
_TOKEN = re.compile(r"==|!=|[=!<>(),]|[^\s=!<>(),]+")
_BINARY = {"in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt"}
_EQUAL = ("=", "==", "in")
_SPECIAL = frozenset(("==", "!=", "=", "!", "<", ">", "(", ")", ","))
_WORDS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


class Requirement(NamedTuple):
    """One term; the operator is one of in notin = == != exists ! gt lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        listed = ",".join(sorted(self.values))
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({listed})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{listed}"
        return f"{self.key}{self.operator}{listed}"


class LabelSelector:
    """All requirements must hold; without any it selects everything, unless it is NOTHING."""

    __slots__ = ("_equal", "_others", "requirements")

    def __init__(self, requirements: Iterable[Requirement]) -> None:
        self.requirements = tuple(sorted(requirements))
        simple = [r for r in self.requirements if r.operator in _EQUAL and len(r.values) == 1]
        self._equal = tuple(dict.fromkeys((r.key, r.values[0]) for r in simple))
        is_all = len(simple) == len(self.requirements)
        self._others = None if is_all else _Others(set(self.requirements).difference(simple))

    def __call__(self, labels: Labels) -> bool:
        for key, value in self._equal:
            if labels.get(key) != value:
                return False
        return self._others is None or self._others.match(labels)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSelector) and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash(self.requirements)

    def equals(self) -> tuple[str, str] | None:
        """A label that what is selected bears, and its value; None where no single one is asked for."""
        return self._equal[0] if self._equal else None

    @property
    def is_everything(self) -> bool:
        return not self.requirements


class _Any:
    """All values there are."""

    def __contains__(self, value: str) -> bool:
        return True


class _Between(NamedTuple):
    """Numbers above the one and below the other."""

    above: int | None = None
    below: int | None = None

    def __contains__(self, value: Any) -> bool:
        if not value.isdigit():
            return False
        number = int(value)
        return (self.above is None or number > self.above) and (self.below is None or number < self.below)


_Values: TypeAlias = "frozenset[str] | _Any | _Between"


class _Others:
    """Requirements of other than one value, those of a key taken together: however many they are, they are asked about
    as often as there are labels."""

    __slots__ = ("_unwanted", "_wanted")

    def __init__(self, requirements: Iterable[Requirement]) -> None:
        unwanted: dict[str, set[str]] = {}
        one_of: dict[str, frozenset[str]] = {}
        above: dict[str, int] = {}
        below: dict[str, int] = {}
        absent, present = [], []
        for key, operator, values in requirements:
            match operator:
                case "exists":
                    present.append(key)
                case "gt":
                    above[key] = max(above.get(key, int(values[0])), int(values[0]))
                case "lt":
                    below[key] = min(below.get(key, int(values[0])), int(values[0]))
                case "!":
                    absent.append(key)
                case "notin" | "!=":
                    unwanted.setdefault(key, set()).update(values)
                case _:
                    one_of[key] = one_of.get(key, frozenset(values)).intersection(values)
        self._wanted: tuple[tuple[str, _Values], ...] = (
            *one_of.items(),
            *((key, _Any()) for key in present),
            *((key, _Between(above.get(key), below.get(key))) for key in above.keys() | below.keys()),
        )
        self._unwanted: dict[str, _Values] = {key: frozenset(values) for key, values in unwanted.items()}
        self._unwanted |= dict.fromkeys(absent, _Any())

    def match(self, labels: Labels) -> bool:
        for key, values in self._wanted:
            value = labels.get(key)
            if value is None or value not in values:
                return False
        unwanted = self._unwanted
        for key in unwanted if len(unwanted) < len(labels) else labels:
            if key in unwanted and key in labels and labels[key] in unwanted[key]:
                return False
        return True


NOTHING = LabelSelector((Requirement("", "in"),))


def from_labels(labels: Labels | None) -> LabelSelector:
    """Selects what bears all these labels: a Service's or a ReplicationController's selector."""
    return LabelSelector(Requirement(key, "=", (value,)) for key, value in (labels or {}).items())


def from_object(selector: Object | None) -> LabelSelector:
    """A `metav1.LabelSelector`: None selects nothing, {} everything. Raises: ValueError."""
    if selector is None:
        return NOTHING
    found = [Requirement(key, "=", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = _WORDS.get(expression.get("operator", ""))
        if operator is None:
            raise ValueError(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        found.append(Requirement(expression["key"], operator, tuple(expression.get("values") or ())))
    return LabelSelector(found)


def validate_object(selector: Object | None, field: str) -> list[Cause]:
    """What is wrong with a `metav1.LabelSelector`; source: metav1 validation.ValidateLabelSelector."""
    found: list[Cause] = []
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        found += causes.each(f"{field}.matchLabels", key, names.qualified_name(key))
        found += causes.each(f"{field}.matchLabels", value, names.label_value(value))
    for position, expression in enumerate((selector or {}).get("matchExpressions") or ()):
        where = f"{field}.matchExpressions[{position}]"
        operator = expression.get("operator", "")
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            found.append(causes.invalid(f"{where}.operator", operator, "not a valid selector operator"))
        found += validate_requirement(expression, where)
    return found


def validate_values(requirement: Object, where: str) -> Iterator[Cause]:
    """Whether a requirement, of labels or of fields, has values if and only if its operator takes some."""
    values = requirement.get("values")
    match requirement.get("operator"):
        case "In" | "NotIn" if not values:
            yield causes.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist" if values:
            says = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield causes.forbidden(f"{where}.values", says)


def validate_requirement(requirement: Object, where: str) -> Iterator[Cause]:
    """What is wrong with a requirement of labels; its operator may be unknown."""
    yield from validate_values(requirement, where)
    key = requirement.get("key", "")
    yield from causes.each(f"{where}.key", key, names.qualified_name(key))
    for index, value in enumerate(requirement.get("values") or ()):
        yield from causes.each(f"{where}.values[{index}]", value, names.label_value(value))


def parse_labels(text: str) -> LabelSelector:
    """The form in URLs and on command lines: `a=b,c!=d,e in (f,g),!h`. Raises: ValueError."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def parse(self) -> LabelSelector:
        found: list[Requirement] = []
        while True:
            token = self._peek()
            if not token:
                break
            if token != "!" and token in _SPECIAL:
                raise ValueError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ValueError as bad:
                raise ValueError(f"unable to parse requirement: {bad}") from bad
            token = self._take()
            if not token:
                break
            if token != ",":
                raise ValueError(f"found '{token}', expected: ',' or 'end of string'")
            after = self._peek()
            if not after or (after != "!" and after in _SPECIAL):
                raise ValueError(f"found '{after}', expected: identifier after ','")
        return LabelSelector(found)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _requirement(self) -> Requirement:
        key = self._take()
        absent = key == "!"
        if absent:
            key = self._take()
        if not key or key in _SPECIAL:
            raise ValueError(f"found '{key}', expected: identifier")
        _refuse("<nil>", key, names.qualified_name(key))
        if self._peek() in ("", ","):
            return Requirement(key, "!" if absent else "exists")
        if absent:
            return Requirement(key, "!")
        word = self._take()
        operator = _BINARY.get(word)
        if operator is None:
            raise ValueError(f"found '{word}', expected: {', '.join(_BINARY.values())}")
        values = self._values() if operator in ("in", "notin") else (self._exact_value(),)
        for index, value in enumerate(values):
            if operator in ("gt", "lt") and not re.fullmatch(r"[+-]?\d+", value):
                says = "for 'Gt', 'Lt' operators, the value must be an integer"
                raise ValueError(str(causes.invalid(f"values[{index}]", value, says)))
            _refuse(f"values[{index}][{key}]", value, names.label_value(value))
        return Requirement(key, operator, values)

    def _exact_value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        token = self._take()
        if token in _SPECIAL:
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def _values(self) -> tuple[str, ...]:
        token = self._take()
        if token != "(":
            raise ValueError(f"found '{token}' expected: '('")
        found: set[str] = set()
        value = ""
        while True:
            token = self._take()
            if token in (",", ")"):
                found.add(value)
                value = ""
                if token == ")":
                    return tuple(sorted(found))
            elif value:
                raise ValueError(f"found '{token}', expected: ',' or ')'")
            elif not token or token in _SPECIAL:
                wanted = "',', or identifier" if found else "',', ')' or identifier"
                raise ValueError(f"found '{token}', expected: {wanted}")
            else:
                value = token


def _refuse(field: str, value: str, problems: names.Problems) -> None:
    if problems:
        raise ValueError(str(causes.invalid(field, value, "; ".join(problems))))


class FieldTerm(NamedTuple):
    field: str
    value: str
    equal: bool = True


class FieldSelector(NamedTuple):
    """All terms must hold; without any it selects everything."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, read: Callable[[str], Any]) -> bool:
        """`read` gives a field's value by its name."""
        return all((read(term.field) == term.value) is term.equal for term in self.terms)

    def value_of(self, field: str) -> str | None:
        """What this field must equal, if this selector says so."""
        return next((term.value for term in self.terms if term.equal and term.field == field), None)

    def __str__(self) -> str:
        return ",".join(f"{t.field}{'=' if t.equal else '!='}{_escaped(t.value)}" for t in self.terms)


def parse_fields(text: str) -> FieldSelector:
    """`metadata.name=a,spec.nodeName!=b`. Raises: ValueError."""
    terms = []
    for part in sorted(re.findall(r"(?:\\.|[^,\\])+|\\$", text, re.DOTALL)):
        match = re.match(r"(.*?)(!=|==|=)(.*)", part, re.DOTALL)
        if match is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append(FieldTerm(match[1], _unescaped(match[3]), equal=match[2] != "!="))
    return FieldSelector(tuple(terms))


def _unescaped(value: str) -> str:
    plain = re.sub(r"\\([\\,=])", "", value)
    if "\\" in plain:
        sequence = plain[plain.index("\\") :][:2]
        raise ValueError(f"invalid field selector: invalid escape sequence: {sequence}")
    if "=" in plain or "," in plain:
        bad = "=" if "=" in plain else ","
        raise ValueError(f"invalid field selector: unescaped character in value: {bad}")
    return re.sub(r"\\([\\,=])", r"\1", value)


def _escaped(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)
