"""CronJobs after the time of day was set back: what is an hour ahead is waited for, what is a day ahead was wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pylet.api.object import Key
from pylet.server.controllers import cronjob
from pylet.server.reconcile.plan import Patch
from tests.server.controllers.picture import NOW, obj, view


@pytest.mark.parametrize(
    ("last", "waits", "told"),
    [
        pytest.param("2026-01-01T12:00:00Z", timedelta(hours=1), None, id="not at all"),
        pytest.param("2026-01-01T13:00:00Z", timedelta(hours=2), None, id="by an hour"),
        pytest.param("2026-01-02T12:00:00Z", timedelta(hours=1), "2026-01-01T12:00:00Z", id="by a day"),
        pytest.param("2099-01-01T00:00:00Z", timedelta(hours=1), "2026-01-01T12:00:00Z", id="by a clock of 2099"),
    ],
)
def test_a_clock_set_back(last: str, waits: timedelta, told: str | None) -> None:
    job = obj("batch/v1", "CronJob", "hourly", spec={"schedule": "0 * * * *"}, status={"lastScheduleTime": last})
    plan = cronjob.CONTROLLER.plan(Key("default", "hourly"), view(job), NOW)
    assert plan.again_after == waits + timedelta(milliseconds=100)
    patches = [action.patch["status"] for action in plan.actions if isinstance(action, Patch)]
    written = {name: value for patch in patches for name, value in patch.items()}
    assert written.get("lastScheduleTime") == told
