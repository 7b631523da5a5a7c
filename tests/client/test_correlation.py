"""Which events are told: as client-go's EventCorrelator has it."""

from __future__ import annotations

import pytest

from pylet.client import correlation
from pylet.client.correlation import Correlator, Seen


def see(correlator: Correlator, message: str, now: float = 0.0, *, about: str = "web", type_: str = "Normal") -> Seen:
    return correlator.see(about, type_, "Pulled", message, "", now)


def test_many_that_differ_in_words_alone_become_one() -> None:
    correlator = Correlator()
    first = [see(correlator, f"n{number}", about="web") for number in range(9)]
    assert len({seen.which for seen in first}) == 9
    assert not any(seen.is_combined for seen in first)
    later = [see(correlator, f"m{number}") for number in range(3)]
    assert len({seen.which for seen in later}) == 1
    assert [seen.message for seen in later] == [f"(combined from similar events): m{number}" for number in range(3)]


def test_what_is_said_again_is_the_same() -> None:
    correlator = Correlator()
    assert len({see(correlator, "words").which for _ in range(20)}) == 1


def test_after_ten_quiet_minutes_they_are_apart_again() -> None:
    correlator = Correlator()
    for number in range(12):
        see(correlator, f"n{number}")
    assert see(correlator, "now", 600.0).is_combined
    assert not see(correlator, "later", 1200.1).is_combined


def test_who_says_too_much_of_an_object_is_not_heard_for_a_while() -> None:
    correlator = Correlator()
    assert [see(correlator, "words").is_spam for _ in range(26)] == [False] * 25 + [True]
    assert not see(correlator, "words", about="other").is_spam
    assert not see(correlator, "words", type_="Warning").is_spam
    assert see(correlator, "words", 299.0).is_spam
    assert [see(correlator, "words", 300.0).is_spam for _ in range(2)] == [False, True]


def test_little_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "_REMEMBERED", 10)
    correlator = Correlator()
    for number in range(100):
        see(correlator, "words", about=f"p{number}")
    assert len(correlator._similar) == len(correlator._tokens) == 10
