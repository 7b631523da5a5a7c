"""When schedules fire, in every time zone, and what is wrong with those that never do."""

from datetime import UTC, datetime, timedelta

import pytest

from pylet.api import cron

NEW_YORK = "America/New_York"  # 2026: clocks go forward on 8 March, back on 1 November
SAO_PAULO = "America/Sao_Paulo"  # 2018: midnight of 4 November does not exist


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "then"),
    [
        pytest.param("* * * * *", "", "2026-01-02 03:04:05", "2026-01-02 03:05", id="every minute"),
        pytest.param("* * * * *", "", "2026-01-02 03:04:00", "2026-01-02 03:05", id="never at once"),
        pytest.param("*/15 * * * *", "", "2026-01-02 03:46", "2026-01-02 04:00", id="a step wraps with the hour"),
        pytest.param("20-35/15 * * * *", "", "2026-01-02 03:21", "2026-01-02 03:35", id="a step of a range"),
        pytest.param("30 8/4 * * *", "", "2026-01-02 13:00", "2026-01-02 16:30", id="a step from a number on"),
        pytest.param("0 0 31 * *", "", "2026-02-01 00:00", "2026-03-31 00:00", id="months without the day are skipped"),
        pytest.param("0 0 29 feb *", "", "2026-03-01 00:00", "2028-02-29 00:00", id="a leap day"),
        pytest.param("0 0 * jan,jul mon", "", "2026-01-27 00:00", "2026-07-06 00:00", id="names of months and days"),
        pytest.param("0 0 13 * fri", "", "2026-01-02 00:00", "2026-01-09 00:00", id="day of month or of week"),
        pytest.param("0 0 */2 * fri", "", "2026-01-02 00:00", "2026-01-03 00:00", id="a stepped star restricts, too"),
        pytest.param("@weekly", "", "2026-01-02 00:00", "2026-01-04 00:00", id="a descriptor"),
        pytest.param("@every 1h30m", "", "2026-01-02 03:04:05.7", "2026-01-02 04:34:05", id="a fixed distance"),
        pytest.param("TZ=Asia/Tokyo 0 9 * * *", "", "2026-01-02 00:00", "2026-01-03 00:00", id="a zone in the text"),
        pytest.param("0 9 * * *", "Asia/Kolkata", "2026-01-02 00:00", "2026-01-02 03:30", id="half an hour off"),
        pytest.param("30 2 * * *", NEW_YORK, "2026-03-08 00:00", "2026-03-09 06:30", id="an hour that is skipped"),
        pytest.param("30 1 * * *", NEW_YORK, "2026-11-01 05:30", "2026-11-01 06:30", id="an hour that comes twice"),
        pytest.param("0 0 * * *", SAO_PAULO, "2018-11-03 12:00", "2018-11-05 02:00", id="a midnight that is skipped"),
        pytest.param("0 1 * * *", SAO_PAULO, "2018-11-03 12:00", "2018-11-04 03:00", id="the hour after it"),
    ],
)
def test_next(schedule: str, zone: str, after: str, then: str) -> None:
    assert cron.parse(schedule, zone).next(at(after)) == at(then)


@pytest.mark.parametrize("schedule", ["0 0 31 2 *", "0 0 30 feb *"])
def test_a_day_that_never_comes(schedule: str) -> None:
    assert cron.parse(schedule).next(at("2026-01-02")) is None


NOW = at("2026-11-21 12:00:30")


@pytest.mark.parametrize(
    ("schedule", "since", "latest", "count"),
    [
        pytest.param("* * * * *", NOW - timedelta(seconds=10), None, 0, id="none missed"),
        pytest.param("* * * * *", NOW - timedelta(seconds=40), at("2026-11-21 12:00"), 1, id="one"),
        pytest.param("* * * * *", NOW - timedelta(days=365), at("2026-11-21 12:00"), 525600, id="a year of minutes"),
        pytest.param("30 6-16/4 * * 1-5", at("2026-11-01"), at("2026-11-20 14:30"), None, id="an uneven schedule"),
        pytest.param("0 0 1 1 *", at("2016-06-01"), at("2026-01-01"), 10, id="ten years of years"),
        pytest.param("@every 7m", at("2026-11-21 11:00"), at("2026-11-21 11:56"), 8, id="a fixed distance keeps step"),
        pytest.param("0 0 31 2 *", at("2020-01-01"), None, 0, id="a day that never comes"),
    ],
)
def test_missed(schedule: str, since: datetime, latest: datetime | None, count: int | None) -> None:
    found = cron.missed(cron.parse(schedule), since, NOW)
    assert found.latest == latest
    assert count is None or found.times == count


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("", "empty spec string"),
        ("a b c", "expected exactly 5 fields, found 3: [a b c]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("TZ=Mars/Base * * * * *", "provided bad location Mars/Base: unknown time zone Mars/Base"),
        ("TZ=0", "invalid schedule format: runtime error: slice bounds out of range [:-1]"),
    ],
)
def test_bad_schedules(schedule: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        cron.parse(schedule)
    assert str(refused.value) == says
