from collections.abc import Callable

import pytest

from pylet.aio.paced import Paced


@pytest.mark.parametrize(
    ("took", "later", "wait"),
    [
        pytest.param(0.0004, 0.0, None, id="a short one delays nothing"),
        pytest.param(0.002, 0.0, 0.004, id="after a long one the loop is others' for twice as long"),
        pytest.param(0.002, 0.003, 0.001, id="what is left of it"),
        pytest.param(0.1, 0.0, 0.005, id="but not for long"),
        pytest.param(0.002, 0.004, None, id="nothing is left of it"),
    ],
)
def test_a_callback_that_took_long_is_followed_by_a_rest(took: float, later: float, wait: float | None) -> None:
    now, waits, due, ran = [100.0], list[float](), list[Callable[[], None]](), 0

    def work() -> None:
        nonlocal ran
        ran += 1
        now[0] += took

    def call_later(seconds: float, callback: Callable[[], None]) -> None:
        waits.append(seconds)
        due.append(callback)

    paced = Paced(call_later, work, lambda: now[0])
    paced()
    now[0] += later
    paced()
    assert ran + len(due) == 2
    assert waits == ([] if wait is None else [pytest.approx(wait, abs=1e-9)])
    if due:
        paced()
        assert len(due) == 1  # both calls are one
        due[0]()
    assert ran == 2
    now[0] += 1
    paced()
    assert ran == 3
