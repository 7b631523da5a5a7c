from __future__ import annotations

import pytest

from pylet.aio.bucket import Bucket


@pytest.mark.parametrize(
    ("asked_at", "granted"),
    [
        pytest.param([0, 0, 0, 0], [True, True, False, False], id="as many at once as it holds"),
        pytest.param(
            [0, 0, 0.25, 0.5, 0.5], [True, True, False, True, False], id="one comes back when its time is over"
        ),
        pytest.param([60, 60, 60], [True, True, False], id="never more than it holds, after however long"),
        pytest.param([0, 0, 0.375, 0.5], [True, True, False, True], id="who is refused takes nothing"),
    ],
)
def test_grants(asked_at: list[float], granted: list[bool]) -> None:
    bucket = Bucket(2, 2, iter([0, *asked_at]).__next__)
    assert [bucket.take() for _ in asked_at] == granted
