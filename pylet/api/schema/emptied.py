"""What a body wrote as an empty list or map: decoding takes it for absent, as upstream's store does.

Refusals and who owns what tell of it as written. It is noted while an object is decoded, and held until the next is
decoded where this one was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def shown(*, if_printed: bool = False) -> Iterator[bool]:
    """The object is as it was written, for as long as this lasts; whether that makes a difference.

    `if_printed`: what Go leaves out when it is empty stays absent.
    """
    absent = [
        empty
        for empty in _noted.get() or ()
        if empty.obj.get(empty.name) is None and (empty.is_printed or not if_printed)
    ]
    before = [empty.obj.get(empty.name, absent) for empty in absent]
    for empty in absent:
        empty.obj[empty.name] = empty.value
    try:
        yield bool(absent)
    finally:
        for empty, value in zip(absent, before, strict=True):
            if value is absent:
                del empty.obj[empty.name]
            else:
                empty.obj[empty.name] = value
