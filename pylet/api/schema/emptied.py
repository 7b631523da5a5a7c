"""What a body wrote as an empty list or map: decoding takes it for absent, as upstream's store does.

Refusals and who owns what tell of it as written. It is noted while an object is decoded, and held until the next is
decoded where this one was.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple

from pylet.api.object import Object


class _Empty(NamedTuple):
    obj: Object
    name: str
    value: Any
    is_printed: bool


_noted: ContextVar[list[_Empty] | None] = ContextVar("noted", default=None)


def forget() -> None:
    if _noted.get() is not None:
        _noted.set(None)


def note(obj: Object, name: str, value: Any, *, is_printed: bool) -> None:
    """That `obj` had `value`, which is empty, as its field of that name; `is_printed`: Go prints it even then."""
    noted = _noted.get()
    if noted is None:
        _noted.set(noted := [])
    noted.append(_Empty(obj, name, value, is_printed))


def move(obj: Object, other: Object) -> None:
    """That what was noted of `obj` is of `other`, which has its fields now."""
    if noted := _noted.get():
        noted[:] = [empty._replace(obj=other) if empty.obj is obj else empty for empty in noted]


class Shown:
    """The object is as it was written, for as long as this is entered, which answers whether that makes a difference.

    `if_printed`: what Go leaves out when it is empty stays absent. A context of its own: every write enters one.
    """

    __slots__ = ("_absent", "_before")

    def __init__(self, *, if_printed: bool = False) -> None:
        self._before: list[Any] = []
        self._absent: list[_Empty] = []
        if noted := _noted.get():
            told = [empty for empty in noted if empty.is_printed] if if_printed else noted
            self._absent = [empty for empty in told if empty.obj.get(empty.name) is None]

    def __enter__(self) -> bool:
        for empty in self._absent:
            self._before.append(empty.obj.get(empty.name, _noted))
            empty.obj[empty.name] = empty.value
        return bool(self._absent)

    def __exit__(self, *raised: object) -> None:
        for empty, value in zip(self._absent, self._before, strict=True):
            if value is _noted:
                del empty.obj[empty.name]
            else:
                empty.obj[empty.name] = value
