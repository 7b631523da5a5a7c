"""Numbers as Prometheus reads them."""

from pylet.aio.prometheus import Counter, Histogram, gauge


def test_a_histogram_is_told_in_growing_buckets() -> None:
    found = Histogram("h", "Help.", ("kind",), (0.5, 1))
    for value in (0.5, 0.7, 9):
        found.observe(value, "a")
    assert list(found.lines()) == [
        "# HELP h Help.",
        "# TYPE h histogram",
        'h_bucket{kind="a",le="0.5"} 1',
        'h_bucket{kind="a",le="1"} 2',
        'h_bucket{kind="a",le="+Inf"} 3',
        'h_sum{kind="a"} 10.200000',
        'h_count{kind="a"} 3',
    ]


def test_a_counter_without_labels_begins_at_zero() -> None:
    assert list(Counter("c", "Help.").lines())[-1] == "c 0"
    assert list(Counter("c", "Help.", ("kind",)).lines()) == []


def test_labels_are_escaped() -> None:
    assert list(gauge("g", "Help.", {"b": 'a"\n\\', "a": ""}, 1.5))[-1] == 'g{a="",b="a\\"\\n\\\\"} 1.5'
