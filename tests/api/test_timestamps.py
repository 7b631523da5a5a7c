import re
from datetime import UTC, datetime

import pytest

from pylet.api import timestamps


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        pytest.param("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", id="already canonical"),
        pytest.param("2026-01-02T03:04:05.999Z", "2026-01-02T03:04:05Z", id="fractions are cut"),
        pytest.param("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z", id="zones become UTC"),
        pytest.param("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", id="a leap day"),
    ],
)
def test_one_spelling(written: str, canonical: str) -> None:
    assert timestamps.canonical(written) == canonical


def test_micro_time() -> None:
    assert timestamps.canonical_micro("2026-01-02T03:04:05.500000+01:00") == "2026-01-02T02:04:05.500000Z"
    assert timestamps.format_micro(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000000Z"
    assert timestamps.format_micro(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("2026-01-02T03:04:05Z", 'cannot parse "Z" as ".000000"'),
        ("2026-01-02T03:04:05.1Z", 'cannot parse ".1Z" as ".000000"'),
        ("2026-01-02T03:04:05.1234567Z", 'cannot parse "7Z" as "Z07:00"'),
    ],
)
def test_micro_time_has_six_digits(written: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f'"{written}" as "2006-01-02T15:04:05.000000Z07:00": {says}')):
        timestamps.canonical_micro(written)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        pytest.param("", 'parsing time "" as .*: cannot parse "" as "2006"', id="empty"),
        pytest.param("2026-01-02", 'cannot parse "" as "T"', id="a date alone"),
        pytest.param("2026-02-30T00:00:00Z", "day out of range", id="no such day"),
        pytest.param("2026-13-01T00:00:00Z", "month out of range", id="no such month"),
        pytest.param("2026-01-01T24:00:00Z", "hour out of range", id="no such hour"),
        pytest.param(5, "json: cannot unmarshal number into Go value of type string", id="a number"),
    ],
)
def test_refused_in_gos_words(written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        timestamps.canonical(written)
