"""Semantic versions: Kubernetes' library/semverlib.go, over the syntax of blang/semver v4."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.functions import Functions, declare, traverse
from pylet.api.cel.types import Type, opaque

_NUMBER = r"(0|[1-9][0-9]{0,19})"
_IDENT = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENT}(?:\.{_IDENT})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Semver:
    """`build` plays no part in order and equality."""

    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.Semver")
    numbers: tuple[int, int, int]
    pre: tuple[str, ...]
    build: str = field(compare=False)

    def order(self) -> tuple[Any, ...]:
        pre = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (*self.numbers, not self.pre, pre)


def parse(text: str) -> Semver:
    """Raises: ValueError."""
    match = _VERSION.fullmatch(text)
    if match is None or len(text) > 1024:
        raise ValueError(_complaint(text))
    major, minor, patch, pre, build = match.groups()
    return Semver((int(major), int(minor), int(patch)), tuple(pre.split(".")) if pre else (), build or "")


def _complaint(text: str) -> str:
    if not text:
        return "Version string empty"
    if text.count(".") < 2:
        return "No Major.Minor.Patch elements found"
    for name, part in zip(("major", "minor", "patch"), text.split(".", 2), strict=True):
        digits = re.split("[-+]", part)[0] if name == "patch" else part
        if not re.fullmatch("[0-9]+", digits):
            return f'Invalid character(s) found in {name} number "{digits}"'
        if len(digits) > 1 and digits[0] == "0":
            return f'{name.capitalize()} number must not contain leading zeroes "{digits}"'
    return f'Invalid character(s) found in prerelease "{text}"'


def _normalized(text: str) -> str:
    parts = text.removeprefix("v").split(".", 2)
    for at, part in enumerate(parts):
        if len(part) > 1:
            stripped = part.lstrip("0")
            parts[at] = stripped if stripped[:1].isdigit() else "0" + stripped
    if len(parts) < 3:
        if re.search("[+-]", parts[-1]):
            raise ValueError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def _semver(text: str, normalize: bool = False) -> Semver:
    try:
        return parse(_normalized(text) if normalize else text)
    except ValueError as bad:
        raise EvaluationError(str(bad)) from bad


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        parse(_normalized(text) if normalize else text)
    except ValueError:
        return False
    return True


def _compare(one: Semver, other: Semver) -> int:
    return (one.order() > other.order()) - (one.order() < other.order())


def declare_library(functions: Functions) -> None:
    kind, once = "kubernetes.Semver", traverse(0.1)
    declare(functions, f"semver(string): {kind}", _semver, once)
    declare(functions, f"semver(string, bool): {kind}", _semver, once)
    declare(functions, "isSemver(string): bool", _is_semver, once)
    declare(functions, "isSemver(string, bool): bool", _is_semver, once)
    declare(functions, f"{kind} -> isGreaterThan({kind}): bool", lambda one, other: _compare(one, other) > 0)
    declare(functions, f"{kind} -> isLessThan({kind}): bool", lambda one, other: _compare(one, other) < 0)
    declare(functions, f"{kind} -> compareTo({kind}): int", _compare)
    declare(functions, f"{kind} -> major(): int", lambda one: one.numbers[0])
    declare(functions, f"{kind} -> minor(): int", lambda one: one.numbers[1])
    declare(functions, f"{kind} -> patch(): int", lambda one: one.numbers[2])
