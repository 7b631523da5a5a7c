"""The audit log: who asked for what, when, and what came of it. A server without a policy never imports the rest.

`annotate` is for whoever has something to say about the request being served: admission, authorization.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylet.api.kind import Kind
    from pylet.api.object import Object
    from pylet.server.audit.record import Record

RECORD: ContextVar[Record | None] = ContextVar("audited request", default=None)
"""What is written down of the request this task serves; None for one nobody audits."""
NOTES: ContextVar[dict[str, str] | None] = ContextVar("audit annotations", default=None)
"""What is noted of it: before it is known whether it is audited, too. None where nobody audits at all."""


def annotate(key: str, value: str) -> None:
    """Add to what is written down; the first value of a key stays."""
    noted = NOTES.get()
    if noted is not None:
        noted.setdefault(key, value)


def started(status: int) -> None:
    """An answer begins that may go on for long: a watch, a stream."""
    record = RECORD.get()
    if record is not None and record.on_start is not None:
        record.on_start(status)


def requested(kind: Kind, obj: Object) -> None:
    """What a client sent, as it was understood and before anybody changes it."""
    record = RECORD.get()
    if record is not None:
        record.keep_request(kind, obj)


def notes() -> dict[str, str]:
    """What is added to for the request this task serves; goes nowhere where nobody audits it."""
    noted = NOTES.get()
    return {} if noted is None else noted
