import re
from datetime import timedelta

import pytest

from pylet.api import goduration


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        *(("0", 0), ("-0", 0), ("0s", 0), ("5s", 5 * 10**9), ("+5s", 5 * 10**9), ("-5s", -5 * 10**9)),
        *(("1h2m3s4ms5us6ns", 3_723_004_005_006), ("5µs", 5000), ("5μs", 5000), ("1m1m", 120 * 10**9)),
        *((".5s", 5 * 10**8), ("1.s", 10**9), ("1.5h", 5400 * 10**9), ("0.3333333333333333333h", 1_199_999_999_999)),
        *(("9223372036854775807ns", (1 << 63) - 1), ("-9223372036854775808ns", -(1 << 63))),
        pytest.param("0" * 30 + "1ns", 1, id="leading zeros"),
    ],
)
def test_what_go_reads(text: str, ns: int) -> None:
    assert goduration.nanoseconds(text) == ns


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *((bad, "invalid duration") for bad in ("", "-", "+", "s", ".", ".s", "x", "--1s")),
        *((bad, "missing unit in duration") for bad in ("1", "1.5", "1h2", "00", "1.2.3s")),
        ("1d", 'unknown unit "d" in duration'),
        ("1 s", 'unknown unit " s" in duration'),
        ("1s-", 'unknown unit "s-" in duration'),
        ("1h 2m", 'unknown unit "h " in duration'),
        ("9223372036854775808ns", "invalid duration"),
        ("-9223372036854775809ns", "invalid duration"),
        ("10000000h", "invalid duration"),
        ("99999999999999999999ns", "invalid duration"),
    ],
)
def test_refused_in_gos_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(f'time: {says} "{text}"') + "$"):
        goduration.nanoseconds(text)


def test_to_the_microsecond() -> None:
    assert goduration.parse("1m30.0000015s") == timedelta(minutes=1, seconds=30, microseconds=2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *(
            (0, "0s"),
            (0.1, "100ms"),
            (0.001, "1ms"),
            (-0.0015, "-1.5ms"),
            (0.00002, "20µs"),
            (1.5, "1.5s"),
            (15.034, "15.034s"),
        ),
        *((60, "1m0s"), (62, "1m2s"), (90.5, "1m30.5s"), (3600, "1h0m0s"), (-3661, "-1h1m1s")),
    ],
)
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert goduration.shown(timedelta(seconds=seconds)) == text
