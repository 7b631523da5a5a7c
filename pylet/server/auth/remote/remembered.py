"""Answers that are kept a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """By their question, each for some seconds of `monotonic`; beyond `most` the oldest go first."""

    def __init__(self, monotonic: Callable[[], float], most: int) -> None:
        self._monotonic = monotonic
        self._most = most
        self._answers: OrderedDict[Any, tuple[float, T]] = OrderedDict()

    def get(self, question: Any) -> T | None:
        until, answer = self._answers.get(question, (0.0, None))
        return answer if until > self._monotonic() else None

    def keep(self, question: Any, answer: T, seconds: float) -> None:
        self._answers[question] = self._monotonic() + seconds, answer
        self._answers.move_to_end(question)
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)
