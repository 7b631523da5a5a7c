"""Frames of a tunnel arrive however they are cut, nothing is held beyond a window, noise is refused."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylet.aio.multiplex import MOST_DATA, MOST_STREAMS, MOST_TO, WINDOW, Event, Kind, Multiplex, TooMany, Violation


def pair() -> tuple[Multiplex, Multiplex]:
    return Multiplex(is_opener=True), Multiplex(is_opener=False)


def pass_on(sender: Multiplex, receiver: Multiplex) -> list[Event]:
    data = bytes(sender.out)
    sender.out.clear()
    return list(receiver.receive(data))


def frame(kind: int, stream: int, content: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">BxHI", kind, len(content) if length is None else length, stream) + content


def opened() -> tuple[Multiplex, Multiplex, int]:
    one, two = pair()
    stream = one.open()
    pass_on(one, two)
    return one, two, stream


def test_a_stream_begins_talks_both_ways_and_ends() -> None:
    one, two = pair()
    stream = one.open(b"there")
    one.send(stream, b"question")
    one.end(stream)
    assert pass_on(one, two) == [(Kind.OPEN, 1, b"there"), (Kind.DATA, 1, b"question"), (Kind.END, 1, b"")]
    two.send(stream, b"answer")
    two.end(stream)
    assert pass_on(two, one) == [(Kind.DATA, 1, b"answer"), (Kind.END, 1, b"")]
    assert (one.room(stream), two.room(stream)) == (0, 0)


@given(st.integers(), st.lists(st.integers(1, 50), min_size=1))
def test_how_the_bytes_are_cut_makes_no_difference(seed: int, cuts: list[int]) -> None:
    chance = random.Random(seed)
    one, whole = pair()
    streams = [one.open() for _ in range(3)]
    for _ in range(20):
        one.send(chance.choice(streams), chance.randbytes(chance.randrange(40)))
    said = bytes(one.out)
    expected = list(whole.receive(said))
    other, found = Multiplex(is_opener=False), []
    while said:
        size = cuts[len(said) % len(cuts)]
        found += list(other.receive(said[:size]))
        said = said[size:]
    assert found == expected


@given(st.binary(max_size=400), st.booleans())
def test_noise_is_understood_or_refused(noise: bytes, is_opener: bool) -> None:
    side = Multiplex(is_opener=is_opener)
    try:
        for event in side.receive(noise):
            assert len(event.data) <= MOST_DATA
    except Violation:
        pass


_FRAMES = st.builds(
    frame, st.integers(1, 7), st.integers(0, 6), st.one_of(st.just(b""), st.just(b"\0\0\1\0"), st.binary(max_size=30))
)


@given(st.lists(_FRAMES, max_size=60), st.integers())
def test_whatever_frames_come_what_is_held_is_bounded(frames: list[bytes], seed: int) -> None:
    chance, side, held = random.Random(seed), Multiplex(is_opener=False), dict[int, int]()
    try:
        for event in side.receive(b"".join(frames)):
            if event.kind is Kind.OPEN:
                held[event.stream] = 0
            if event.kind is Kind.DATA:
                held[event.stream] += len(event.data)
                if chance.random() < 0.5:
                    side.take(event.stream, held[event.stream])
                    held[event.stream] = 0
            assert all(amount <= WINDOW for amount in held.values())
            assert all(0 <= side.room(stream) <= MOST_DATA for stream in held)
            if chance.random() < 0.1 and held:
                chance.choice([side.end, side.reset])(chance.choice(list(held)))
    except Violation:
        pass


def test_who_does_not_take_stops_its_own_stream_alone() -> None:
    one, two = pair()
    stalled, other = one.open(), one.open()
    pass_on(one, two)
    while room := one.room(stalled):
        one.send(stalled, bytes(room))
    assert sum(len(event.data) for event in pass_on(one, two)) == WINDOW
    assert one.room(other) == MOST_DATA
    two.take(stalled, WINDOW // 2)
    assert pass_on(two, one)[0][:2] == (Kind.CREDIT, stalled)
    assert one.room(stalled) == MOST_DATA


def test_small_takes_are_told_by_the_half_window() -> None:
    one, two, stream = opened()
    for _ in range(WINDOW // 1024):
        one.send(stream, bytes(1024))
        pass_on(one, two)
        two.take(stream, 1024)
    assert len(two.out) == 2 * len(frame(Kind.CREDIT, stream, bytes(4)))


def test_there_is_a_most_of_streams_on_both_sides() -> None:
    one, two = pair()
    for _ in range(MOST_STREAMS):
        one.open()
    with pytest.raises(TooMany):
        one.open()
    pass_on(one, two)
    assert list(two.receive(frame(Kind.OPEN, MOST_STREAMS + 1))) == []
    assert bytes(two.out) == frame(Kind.RESET, MOST_STREAMS + 1)


def test_what_still_comes_for_an_ended_stream_is_ignored() -> None:
    one, two, stream = opened()
    one.reset(stream)
    two.send(stream, b"too late")
    two.end(stream)
    assert pass_on(two, one) == []
    assert pass_on(one, two) == [(Kind.RESET, stream, b"")]


def test_a_ping_is_answered() -> None:
    one, two = pair()
    one.ping()
    assert pass_on(one, two) == [(Kind.PING, 0, b"")]
    assert pass_on(two, one) == [(Kind.PONG, 0, b"")]


@pytest.mark.parametrize(
    "said",
    [
        frame(0, 1),
        frame(8, 1),
        frame(Kind.DATA, 2, b"x"),
        frame(Kind.OPEN, 1),
        frame(Kind.OPEN, 0),
        frame(Kind.OPEN, 2, bytes(MOST_TO + 1)),
        frame(Kind.PING, 0, length=1),
        frame(Kind.DATA, 1, length=MOST_DATA + 1),
        frame(Kind.DATA, 1, bytes(MOST_DATA)) * 9,
        frame(Kind.END, 1) + frame(Kind.DATA, 1, b"x"),
        frame(Kind.CREDIT, 1, b"\0\0\0\1"),
        frame(Kind.CREDIT, 1, b"\0\0"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=[
        "no kind", "a kind unknown", "of a stream never opened", "opened twice", "opened as nothing",
        "opened to a novel",
        "a ping with data", "a frame too long", "beyond the window", "after the end",
        "credit for nothing", "half a credit", "HTTP",
    ],
)  # fmt: skip
def test_what_is_out_of_order_is_a_violation(said: bytes) -> None:
    _, side, _ = opened()
    with pytest.raises(Violation):
        list(side.receive(said))


def test_who_opens_lets_nobody_else_open() -> None:
    with pytest.raises(Violation):
        list(Multiplex(is_opener=True).receive(frame(Kind.OPEN, 1)))
