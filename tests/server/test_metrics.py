"""What requests count as: whole, and without what others took of them."""

from __future__ import annotations

import pytest

from pylet.server import spent
from pylet.server.metrics import Asked, Metrics

ASKED = Asked("apiserver", "", "pods", "resource", "", "POST", "v1")


def told(metrics: Metrics, sample: str) -> list[str]:
    return [
        line.rpartition(" ")[2] for line in metrics.text().splitlines() if line.startswith(sample) and "pods" in line
    ]


def test_what_others_took_is_not_the_servers_own() -> None:
    metrics = Metrics()
    metrics.count(ASKED, "", 201, 3.5, 0)
    metrics.count(ASKED, "", 201, 0.01, 0)
    metrics.count(ASKED, "All", 201, 9.0, 0)
    metrics.others_took(ASKED, 3.5, 3.25)
    within = told(metrics, "apiserver_request_sli_duration_seconds_bucket")
    assert within[:3] == ["1", "1", "1"]  # of 0.05, 0.1 and 0.2 seconds
    assert set(within[3:]) == {"2"}
    assert told(metrics, "apiserver_request_sli_duration_seconds_sum") == ["0.260000"]
    assert told(metrics, "apiserver_request_sli_duration_seconds_count") == ["2"]
    assert told(metrics, "apiserver_request_duration_seconds_sum") == ["3.510000", "9.000000"]


def test_what_is_done_at_once_counts_as_its_longest_and_is_forgotten_when_told() -> None:
    spent.REQUEST_ID.set("id")
    spent.one_after_another(1)
    spent.one_after_another(2)
    spent.at_once(4)
    spent.at_once(3)
    assert spent.take() == 7
    assert not spent.BY_REQUEST
    assert spent.take() == 0


def test_little_is_kept_of_requests_that_nobody_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spent, "_MOST", 3)
    for number in range(10):
        spent.REQUEST_ID.set(f"id{number}")
        spent.one_after_another(1)
    assert list(spent.BY_REQUEST) == ["id7", "id8", "id9"]
    spent.BY_REQUEST.clear()


def test_who_works_without_a_request_is_not_waited_for() -> None:
    spent.REQUEST_ID.set("")
    spent.one_after_another(1)
    assert not spent.BY_REQUEST
