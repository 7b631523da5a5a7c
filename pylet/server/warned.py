"""What a client is warned of with whatever it is answered; `warn` is for who knows before a request is understood."""

from __future__ import annotations

from contextvars import ContextVar

WARNED: ContextVar[tuple[str, ...]] = ContextVar("warned", default=())
"""Texts without quotes, of the request being served."""


def warn(text: str) -> None:
    if text not in (told := WARNED.get()):
        WARNED.set((*told, text))
