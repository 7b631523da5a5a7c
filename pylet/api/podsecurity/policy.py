"""What a namespace's labels ask for. Source: pod-security-admission api/helpers.go, policy/checks.go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pylet.api import causes
from pylet.api.errors import Cause

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
LATEST = 1 << 30
MODES = ("enforce", "audit", "warn")
NO_LEVEL, NO_VERSION = f"must be one of {', '.join(LEVELS)}", 'must be "latest" or "v1.x"'
_VERSION = re.compile(r"v1\.([0-9]|[1-9][0-9]*)")


class Limit(NamedTuple):
    """A level of the standards of one minor version."""

    level: str = "privileged"
    minor: int = LATEST

    @property
    def is_privileged(self) -> bool:
        return self.level == "privileged"

    @property
    def strictness(self) -> int:
        return LEVELS.index(self.level)

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"


_UNLIMITED = Limit()


class Violation(NamedTuple):
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Violations:
    found: tuple[Violation, ...]

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in self.found)

    @property
    def reasons(self) -> str:
        return ", ".join(violation.reason for violation in self.found)


@dataclass(frozen=True, slots=True)
class Policy:
    """`problems` are what is wrong with the labels; such labels restrict what is enforced, and nothing else."""

    enforce: Limit = _UNLIMITED
    audit: Limit = _UNLIMITED
    warn: Limit = _UNLIMITED
    problems: tuple[Cause, ...] = ()

    @property
    def is_privileged(self) -> bool:
        """Whether nothing is looked at."""
        return self.enforce.is_privileged and self.audit.is_privileged and self.warn.is_privileged

    @property
    def is_told(self) -> bool:
        """Whether what makes pods is looked at, which is only told."""
        return bool(self.problems) or not (self.audit.is_privileged and self.warn.is_privileged)

    def is_like(self, other: Policy) -> bool:
        """Whether both mean the same: of whatever version, privileged is privileged."""
        pairs = zip((self.enforce, self.audit, self.warn), (other.enforce, other.audit, other.warn), strict=True)
        return all(own == its or (own.is_privileged and its.is_privileged) for own, its in pairs)


PRIVILEGED = Policy()


def minor_of(version: str) -> int | None:
    """The minor that a version names, `LATEST` for "latest"; None where it is none."""
    match = _VERSION.fullmatch(version)
    return LATEST if version == "latest" else int(match[1]) if match else None


def policy_of(labels: Mapping[str, str], default: Policy = PRIVILEGED) -> Policy:
    """What labels ask for; `default` holds where they say nothing."""
    if not any(name.startswith(PREFIX) for name in labels):
        return default
    problems: list[Cause] = []
    limits: dict[str, Limit] = {}
    for mode in MODES:
        limits[mode] = _limit(labels, mode, getattr(default, mode), problems)
    enforce, warn = limits["enforce"], limits["warn"]
    is_explicit = labels.get(f"{PREFIX}enforce") in LEVELS
    if f"{PREFIX}warn" not in labels and is_explicit and enforce.strictness > warn.strictness:
        warn = Limit(enforce.level, warn.minor if f"{PREFIX}warn-version" in labels else enforce.minor)
    return Policy(enforce, limits["audit"], warn, tuple(problems))


def _limit(labels: Mapping[str, str], mode: str, default: Limit, problems: list[Cause]) -> Limit:
    level, minor = default
    label = PREFIX + mode
    given = labels.get(label)
    if given in LEVELS:
        level = given
    elif given is not None:
        level = "restricted" if mode == "enforce" else "privileged"
        problems.append(causes.invalid(f"metadata.labels[{label}]", given, NO_LEVEL))
    label = f"{PREFIX}{mode}-version"
    given = labels.get(label)
    if given is not None:
        named = minor_of(given)
        minor = LATEST if named is None else named
        if named is None:
            problems.append(causes.invalid(f"metadata.labels[{label}]", given, NO_VERSION))
    return Limit(level, minor)
