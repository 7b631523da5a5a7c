"""Our gRPC against gRPC's own implementation, each as client and as server."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import uvloop

from pylet.cri import health, served
from pylet.cri.socket import CallError, ServiceSocket
from pylet.cri.wire import at, message
from tests.waiting import until


@pytest.fixture(scope="module", params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Their transports differ in what may be done with a closed one."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


@message
class Text:
    text: str = at(1, "")


pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")
ECHO, COUNT = "/test.Test/Echo", "/test.Test/Count"


class Theirs(grpc.GenericRpcHandler):
    """What is asked for by name: see `answer`."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    def service(self, call: Any) -> Any:
        if call.method == COUNT:
            return grpc.unary_stream_rpc_method_handler(self.count)
        return grpc.unary_unary_rpc_method_handler(self.answer) if call.method != "/test.Test/None" else None

    async def answer(self, request: bytes, context: Any) -> bytes:
        if request.endswith(b"refuse"):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: 100% schön")
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(60 if request.endswith(b"sleep") else 0)
        finally:
            self.under_way -= 1
        return request

    async def count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"\x0a\x01" + str(number).encode()
        if request.endswith(b"for ever"):
            await asyncio.sleep(60)


@asynccontextmanager
async def serving(path: Path, handler: Theirs, *options: tuple[str, int]) -> AsyncIterator[grpc.aio.Server]:
    size = 64 << 20
    limits = (("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size))
    server = grpc.aio.server(options=(*limits, *options))
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Echo, as text."""
    socket = ServiceSocket(address)

    async def call(text: str, *, path: str = ECHO, seconds: float = 10) -> str:
        return (await socket.call(path, Text(text), Text, seconds=seconds)).text

    try:
        yield call
    finally:
        await socket.close()


@pytest.mark.parametrize("size", [0, 1, 20_000, 70_000, (16 << 20) - 10])
async def test_a_message_of_any_size_comes_back(tmp_path: Path, size: int) -> None:
    async with serving(tmp_path / "s", Theirs()), calling(f"{tmp_path}/s") as call:
        assert await call("x" * size) == "x" * size
        assert await call("again") == "again"


async def test_one_that_is_too_large_is_refused_and_the_connection_lives(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", Theirs()), calling(f"{tmp_path}/s") as call:
        with pytest.raises(CallError, match="code = ResourceExhausted desc = grpc: received message larger than max"):
            await call("x" * (20 << 20))
        assert await call("again") == "again"


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        pytest.param("refuse", ECHO, "rpc error: code = NotFound desc = no such thing: 100% schön", id="refused"),
        pytest.param("", "/test.Test/None", "rpc error: code = Unimplemented desc = ", id="unknown"),
        pytest.param("sleep", ECHO, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", id="late"),
    ],
)
async def test_what_fails_reads_as_upstream_shows_it(tmp_path: Path, text: str, path: str, words: str) -> None:
    async with serving(tmp_path / "s", Theirs()), calling(f"{tmp_path}/s") as call:
        with pytest.raises(CallError) as failed:
            await call(text, path=path, seconds=0.2 if text == "sleep" else 60)
        assert str(failed.value).startswith(words)


async def test_who_waits_no_longer_is_no_load_to_the_service(tmp_path: Path) -> None:
    theirs = Theirs()
    async with serving(tmp_path / "s", theirs), calling(f"{tmp_path}/s") as call:
        task = asyncio.ensure_future(call("sleep"))
        await until(lambda: theirs.under_way)
        task.cancel()
        await until(lambda: not theirs.under_way)


async def test_calls_beyond_what_the_service_allows_wait(tmp_path: Path) -> None:
    theirs = Theirs()
    limit = ("grpc.max_concurrent_streams", 3)
    async with serving(tmp_path / "s", theirs, limit), calling(f"{tmp_path}/s") as call:
        await call("the service has told its limit")
        assert await asyncio.gather(*(call(f"{n}") for n in range(50))) == [f"{n}" for n in range(50)]
    assert theirs.most <= 3


async def test_a_service_that_renews_its_connections_loses_no_call(tmp_path: Path) -> None:
    ages = (("grpc.max_connection_age_ms", 20), ("grpc.max_connection_age_grace_ms", 60_000))
    async with serving(tmp_path / "s", Theirs(), *ages), calling(f"{tmp_path}/s") as call:
        for n in range(40):
            assert await asyncio.gather(*(call(f"{n} {m}") for m in range(5))) == [f"{n} {m}" for m in range(5)]
            await asyncio.sleep(0.005)


async def test_nobody_there_and_then_somebody(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with calling(str(path)) as call:
        with pytest.raises(CallError) as failed:
            await call("1")
        dialling = f"transport: Error while dialing: dial unix {path}: connect: no such file or directory"
        assert str(failed.value) == f'rpc error: code = Unavailable desc = connection error: desc = "{dialling}"'
        for text in ("2", "3"):  # the service starts, and starts again
            async with serving(path, Theirs()):
                assert await call(text) == text


async def test_a_service_that_dies_under_a_call(tmp_path: Path) -> None:
    theirs = Theirs()
    async with calling(f"{tmp_path}/s") as call:
        async with serving(tmp_path / "s", theirs):
            task = asyncio.ensure_future(call("sleep"))
            await until(lambda: theirs.under_way)
        with pytest.raises(CallError, match=r"code = (Unavailable|Canceled|Unknown)"):
            await task


async def test_a_connection_that_breaks_under_a_stream_and_a_call(tmp_path: Path) -> None:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"for ever")
        writer.transport.abort()

    async with await asyncio.start_unix_server(hear, tmp_path / "s"), calling(f"{tmp_path}/s") as call:
        socket = ServiceSocket(f"{tmp_path}/s")
        with pytest.raises(CallError, match="code = Unavailable desc = error reading from server"):
            await anext(socket.stream(COUNT, Text("for ever"), Text))
        with pytest.raises(CallError, match="code = Unavailable desc = error reading from server"):
            await call("for ever")
        await socket.close()


async def test_a_stream_of_answers(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", Theirs()):
        socket = ServiceSocket(f"{tmp_path}/s")
        assert [answer.text async for answer in socket.stream(COUNT, Text(), Text)] == ["0", "1", "2"]
        endless = socket.stream(COUNT, Text("for ever"), Text)
        assert [(await anext(endless)).text for _ in range(3)] == ["0", "1", "2"]
        await endless.aclose()
        await socket.close()


async def test_whether_somebody_is_there_is_told_as_it_changes(tmp_path: Path) -> None:
    socket = ServiceSocket(f"{tmp_path}/s")
    states = socket.connections()
    assert not await anext(states)
    async with serving(tmp_path / "s", Theirs()):
        assert await anext(states)
    assert not await anext(states)
    async with serving(tmp_path / "s", Theirs()):
        assert await anext(states)
    await socket.close()


async def test_what_is_no_grpc_service(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(talk, tmp_path / "s"), calling(f"{tmp_path}/s") as call:
        with pytest.raises(CallError, match="code = Unavailable"):
            await call("1")


async def test_what_we_serve_is_understood(tmp_path: Path) -> None:
    async def echo(request: bytes) -> bytes:
        if request == b"no":
            raise served.Refused("100% nein, schön")
        return request

    path = tmp_path / "s"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(served.serve(path, {ECHO: echo}))
        await until(path.exists)
        options = (("grpc.max_receive_message_length", 64 << 20),)
        async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:
            call, unknown = channel.unary_unary(ECHO), channel.unary_unary("/test.Test/Other")
            sent = [b"", b"x", os.urandom(200_000), os.urandom(3 << 20)]
            assert await asyncio.gather(*(call(request) for request in sent)) == sent
            for method, request, code, words in (
                (call, b"no", grpc.StatusCode.UNKNOWN, "100% nein, schön"),
                (unknown, b"", grpc.StatusCode.UNIMPLEMENTED, "Method not found!"),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await method(request)
                assert (refused.value.code(), refused.value.details()) == (code, words)
        task.cancel()


async def test_health_is_asked_over_a_port() -> None:
    class Health(grpc.GenericRpcHandler):
        def service(self, call: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(self.check)

        async def check(self, request: bytes, context: Any) -> bytes:
            return b"\x08\x01" if request == b"\x0a\x04good" else b"\x08\x02"

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Health(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await health.check(f"127.0.0.1:{port}", "good", seconds=60)
    with pytest.raises(health.Unhealthy, match=r"responded with status 2"):
        await health.check(f"127.0.0.1:{port}", "bad", seconds=60)
    await server.stop(0)
    with pytest.raises(health.Unhealthy, match="connection refused"):
        await health.check(f"127.0.0.1:{port}", "good", seconds=60)
