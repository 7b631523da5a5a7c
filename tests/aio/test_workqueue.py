"""When which key is due, decided without waiting."""

from __future__ import annotations

from pylet.aio.workqueue import Schedule


def test_a_key_that_is_worked_on_again_and_again_takes_one_place() -> None:
    """An hour later something is due; until then the object changes, and each change is looked at."""
    schedule = Schedule[str]()
    for now in range(5000):
        schedule.add("job", float(now))
        assert schedule.take(float(now)) == "job"
        schedule.done("job")
        schedule.add("job", now + 3600.0)
    assert len(schedule) == 1
    assert len(schedule._heap) <= 1100
    assert schedule.take(8598.0) is None
    assert schedule.take(8599.0) == "job"
