"""HTTP/2 by itself: two ends that hear each other, and what a peer may do to us."""

import struct

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from pylet.cri.headerblock import header_block
from pylet.cri.http2 import (
    PREFACE,
    WINDOW_BYTES,
    Code,
    Connection,
    Data,
    Event,
    Frame,
    GoingAway,
    Headers,
    ProtocolError,
    Reset,
)

HEAD = header_block([(":path", "/a")])
ANSWER = header_block([(":status", "200")])
END = header_block([("grpc-status", "0")])


class Pair:
    """`client` has greeted `server` and been greeted."""

    def __init__(self) -> None:
        self.client, self.server = Connection(is_client=True), Connection(is_client=False)
        self.exchange()

    def exchange(self) -> tuple[list[Event], list[Event]]:
        """Everything there is to send, until both are silent: what the client heard, and the server."""
        heard: tuple[list[Event], list[Event]] = [], []
        while True:
            to_server, to_client = self.client.take(), self.server.take()
            if not to_server and not to_client:
                return heard
            heard[1].extend(self.server.receive(to_server))
            heard[0].extend(self.client.receive(to_client))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def settings(number: int, value: int) -> bytes:
    return frame(Frame.SETTINGS, 0, 0, struct.pack(">HI", number, value))


def test_a_request_and_its_answer() -> None:
    pair = Pair()
    stream = pair.client.request(HEAD, b"question")
    assert pair.exchange()[1] == [Headers(stream, {":path": "/a"}, False), Data(stream, b"question", True)]
    pair.server.respond(stream, ANSWER, b"answer", END)
    heard, _ = pair.exchange()
    assert heard == [
        Headers(stream, {":status": "200"}, False),
        Data(stream, b"answer", False),
        Headers(stream, {"grpc-status": "0"}, True),
    ]


def test_bytes_may_come_one_at_a_time() -> None:
    client, server = Connection(is_client=True), Connection(is_client=False)
    client.request(HEAD, b"question")
    heard = [event for byte in client.take() for event in server.receive(bytes((byte,)))]
    assert heard == [Headers(1, {":path": "/a"}, False), Data(1, b"question", True)]


def test_what_is_larger_than_the_window_goes_on_as_the_reader_takes_it() -> None:
    pair = Pair()
    stream = pair.client.request(HEAD, b"")
    pair.exchange()
    pair.server.respond(stream, ANSWER, bytes(WINDOW_BYTES + 5), END)
    heard, _ = pair.exchange()
    assert sum(len(event.content) for event in heard if isinstance(event, Data)) == WINDOW_BYTES
    pair.client.took(stream, WINDOW_BYTES)
    heard, _ = pair.exchange()
    assert [len(event.content) for event in heard if isinstance(event, Data)] == [5]
    assert heard[-1] == Headers(stream, {"grpc-status": "0"}, True)


def test_a_peer_with_small_windows_gets_no_more_than_it_wants() -> None:
    client = Connection(is_client=True)
    client.receive(settings(4, 10) + settings(5, 16384))
    client.take()
    client.request(HEAD, b"0123456789abcdef")
    assert client.take().endswith(frame(Frame.DATA, 0, 1, b"0123456789"))
    client.receive(frame(Frame.WINDOW_UPDATE, 0, 1, struct.pack(">I", 4)))
    assert client.take() == frame(Frame.DATA, 0, 1, b"abcd")
    client.receive(settings(4, 12))
    assert client.take().endswith(frame(Frame.DATA, 1, 1, b"ef"))


def test_streams_wait_where_only_so_many_are_allowed() -> None:
    client = Connection(is_client=True)
    client.receive(settings(3, 1))
    client.take()
    first, second = client.request(HEAD, b"1"), client.request(HEAD, b"2")
    assert client.take() == frame(Frame.HEADERS, 4, first, HEAD) + frame(Frame.DATA, 1, first, b"1")
    client.receive(frame(Frame.RESET, 0, first, struct.pack(">I", Code.CANCEL)))
    assert client.take() == frame(Frame.HEADERS, 4, second, HEAD) + frame(Frame.DATA, 1, second, b"2")


def test_who_cancels_hears_nothing_more() -> None:
    pair = Pair()
    stream = pair.client.request(HEAD, b"question")
    pair.exchange()
    pair.server.respond(stream, ANSWER, b"answer", END)
    pair.client.cancel(stream)
    assert pair.exchange() == ([], [])  # the server's part had ended too


def test_a_server_that_goes_away_tells_what_it_has_not_seen() -> None:
    client = Connection(is_client=True)
    seen, unseen = client.request(HEAD, b"1"), client.request(HEAD, b"2")
    heard = client.receive(frame(Frame.GO_AWAY, 0, 0, struct.pack(">II", seen, 0) + b"bye"))
    assert heard == [GoingAway("bye"), Reset(unseen, Code.REFUSED_STREAM)]
    assert client.receive(frame(Frame.HEADERS, 5, seen, END)) == [Headers(seen, {"grpc-status": "0"}, True)]


def test_what_waits_for_its_turn_is_unseen_whatever_the_server_says_it_saw() -> None:
    client = Connection(is_client=True)
    client.receive(settings(3, 1))
    seen, waiting = client.request(HEAD, b"1"), client.request(HEAD, b"2")
    heard = client.receive(frame(Frame.GO_AWAY, 0, 0, struct.pack(">II", 2**31 - 1, 0) + b"soon"))
    assert heard == [GoingAway("soon"), Reset(waiting, Code.REFUSED_STREAM)]
    assert client.receive(frame(Frame.HEADERS, 5, seen, END)) == [Headers(seen, {"grpc-status": "0"}, True)]


def test_what_waits_for_its_turn_cannot_be_reset() -> None:
    client = Connection(is_client=True)
    client.receive(settings(3, 1))
    client.request(HEAD, b"1")
    with pytest.raises(ProtocolError):
        client.receive(frame(Frame.RESET, 0, client.request(HEAD, b"2"), bytes(4)))


def test_padding_priorities_and_continued_heads_are_understood() -> None:
    server = Connection(is_client=False)
    greeting = PREFACE + settings(4, 65535)
    padded = b"\x03" + bytes(5) + HEAD[:4] + b"pad"
    heard = server.receive(
        greeting
        + frame(Frame.HEADERS, 0x28, 1, padded)
        + frame(Frame.CONTINUATION, 0x4, 1, HEAD[4:])
        + frame(Frame.DATA, 0x9, 1, b"\x02hipp")
    )
    assert heard == [Headers(1, {":path": "/a"}, False), Data(1, b"hi", True)]


def test_a_ping_is_answered() -> None:
    client = Connection(is_client=True)
    client.take()
    client.receive(frame(Frame.PING, 0, 0, b"12345678"))
    assert client.take() == frame(Frame.PING, 1, 0, b"12345678")


def test_more_streams_than_there_is_room_for_are_refused() -> None:
    server = Connection(is_client=False)
    server.receive(PREFACE)
    for stream in range(1, 501, 2):
        server.receive(frame(Frame.HEADERS, 4, stream, HEAD))
    server.take()
    assert server.receive(frame(Frame.HEADERS, 4, 501, HEAD)) == []
    assert server.take() == frame(Frame.RESET, 0, 501, struct.pack(">I", Code.REFUSED_STREAM))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP/1"),
        pytest.param(PREFACE + b"\xff\xff\xff\x00" + bytes(5), id="a frame of 16 MiB"),
        pytest.param(PREFACE + frame(Frame.HEADERS, 0, 1, HEAD) + frame(Frame.PING, 0, 0, bytes(8)), id="interrupted"),
        pytest.param(PREFACE + frame(Frame.CONTINUATION, 4, 1, HEAD), id="a continuation of nothing"),
        pytest.param(PREFACE + frame(Frame.PUSH_PROMISE, 4, 1, HEAD), id="a push"),
        pytest.param(PREFACE + frame(Frame.HEADERS, 4, 1, b"\xff\xff\xff\xff"), id="a head that is none"),
        pytest.param(PREFACE + frame(Frame.HEADERS, 0xC, 1, b"\x09a"), id="more padding than frame"),
        pytest.param(PREFACE + frame(Frame.WINDOW_UPDATE, 0, 0, b"1"), id="a short frame"),
        pytest.param(
            PREFACE
            + frame(Frame.HEADERS, 0, 1, bytes(16384))
            + b"".join(frame(Frame.CONTINUATION, 0, 1, bytes(16384)) for _ in range(4)),
            id="a head without end",
        ),
    ],
)
def test_who_breaks_the_protocol_is_told_so(sent: bytes) -> None:
    server = Connection(is_client=False)
    server.take()
    with pytest.raises(ProtocolError):
        server.receive(sent)
    assert server.take()[-200:].find(bytes((Frame.GO_AWAY, 0, 0, 0, 0, 0))) >= 0


def test_who_sends_a_head_that_cannot_be_decoded_is_told_which_error_that_is() -> None:
    server = Connection(is_client=False)
    server.receive(PREFACE)
    server.take()
    with pytest.raises(ProtocolError) as refused:
        server.receive(frame(Frame.HEADERS, 0x4, 1, b"\xff\xff\xff"))
    assert refused.value.code is Code.COMPRESSION_ERROR
    assert server.take()[9:17] == struct.pack(">II", 0, Code.COMPRESSION_ERROR)


def test_a_stream_that_sends_more_than_its_window_ends() -> None:
    client = Connection(is_client=True)
    stream = client.request(HEAD, b"q")
    full = frame(Frame.DATA, 0, stream, bytes(16384)) * (WINDOW_BYTES // 16384)
    assert all(isinstance(event, Data) for event in client.receive(full))
    assert client.receive(frame(Frame.DATA, 0, stream, b"1")) == [Reset(stream, Code.FLOW_CONTROL_ERROR)]


@effort(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=40))),
    st.booleans(),
)
def test_noise_ends_the_connection_and_nothing_else(frames: list[tuple[int, int, int, bytes]], is_client: bool) -> None:
    end = Connection(is_client=is_client)
    if is_client:
        end.request(HEAD, b"1")
    try:
        end.receive((b"" if is_client else PREFACE) + b"".join(frame(*one) for one in frames))
    except ProtocolError:
        assert end.take()


def test_an_index_says_what_the_table_says_now() -> None:
    client = Pair().client
    for field, said in ((b"\x01a\x011", "1"), (b"\x01a\x012", "2")):
        for block in (b"\x40" + field, b"\xbe", b"\xbe"):  # a literal that goes into the table, then its place there
            stream = client.request(HEAD, b"")
            assert client.receive(frame(Frame.HEADERS, 0x4, stream, block)) == [Headers(stream, {"a": said}, False)]
