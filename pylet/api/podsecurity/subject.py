"""A pod, or the pod of a template, as the checks ask about it, and the words they share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeAlias

from pylet.api.containers import every
from pylet.api.object import Object, annotations_of, dig
from pylet.api.podsecurity.policy import Violation


class Subject:
    def __init__(self, metadata: Object, spec: Object, minor: int) -> None:
        """`minor` is the version of the standards it is checked against."""
        self.spec = spec
        self.minor = minor
        self.annotations = annotations_of({"metadata": metadata})
        self.containers = list(every(spec))

    @property
    def is_windows(self) -> bool:
        return self.minor >= 25 and bool(dig(self.spec, "os", "name") == "windows")

    @property
    def has_own_users(self) -> bool:
        """Whether its root is nobody outside."""
        return self.spec.get("hostUsers") is False

    def setting(self, *path: str) -> Any:
        """What the pod's own security context says there."""
        return dig(self.spec, "securityContext", *path)

    def bad(self, is_bad: Callable[[Object], bool]) -> list[str]:
        """Names of the containers whose security context is bad; one that has none is empty."""
        return [found["name"] for found in self.containers if is_bad(found.get("securityContext") or {})]

    def settings(self, *path: str) -> Iterator[tuple[str, Any]]:
        """What the containers' security contexts say there, for those that say something."""
        for found in self.containers:
            value = dig(found, "securityContext", *path)
            if value is not None:
                yield found["name"], value


Check: TypeAlias = Callable[[Subject], Violation | None]


def quoted(items: Iterable[str]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def plural(word: str, items: Collection[Any]) -> str:
    return word if len(items) == 1 else f"{word}s"


def containers(names: Collection[str]) -> str:
    return f"{plural('container', names)} {quoted(names)}"


def setters(names: Collection[str], *, pod: bool) -> str:
    """Who sets what is bad; "" for nobody."""
    return " and ".join([*(["pod"] if pod else ()), *([containers(names)] if names else ())])
