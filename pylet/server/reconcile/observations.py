"""What controllers know of things that are no objects of this server: answers of API paths, as last read. Pure.

A plan asks for a path and takes the answer there is; whoever observes (`observer.Observer`) reads what was asked for
lately, again and again, and lets go of what nobody asks for any more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from pylet.api.errors import ApiError
from pylet.api.object import Object

Answer: TypeAlias = Object | ApiError

_FORGOTTEN_AFTER = timedelta(minutes=1)


class Observations:
    def __init__(self) -> None:
        self._asked: dict[str, datetime] = {}
        self._answers: dict[str, Answer] = {}
        self.on_new: Callable[[], None] | None = None  # called when a path is asked for that has no answer

    def ask(self, path: str, now: datetime) -> Answer | None:
        """None: not read yet; ask again in a moment."""
        self._asked[path] = now
        answer = self._answers.get(path)
        if answer is None and self.on_new is not None:
            self.on_new()
        return answer

    def wanted(self, now: datetime, *, unread: bool = False) -> list[str]:
        """The paths asked for lately; `unread`: of these the ones without an answer."""
        for path in [path for path, at in self._asked.items() if now - at > _FORGOTTEN_AFTER]:
            del self._asked[path]
            self._answers.pop(path, None)
        return [path for path in self._asked if not unread or path not in self._answers]

    def put(self, path: str, answer: Answer) -> None:
        self._answers[path] = answer
