"""Any gRPC service behind a Unix socket, as plugins of a node serve them: calls with messages of `wire`."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from pylet.cri import wire

T = TypeVar("T")


class CallError(Exception):
    """A call failed; the text reads as upstream shows it ("rpc error: code = …")."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {details}")
        self.code = code

    @property
    def is_final(self) -> bool:
        """The service has refused; after any other failure nobody knows whether it did what it was asked."""
        return self.code not in ("Canceled", "DeadlineExceeded", "Unavailable", "ResourceExhausted", "Aborted")


class ServiceSocket:
    """The services behind `socket`; it is dialled with the first call."""

    def __init__(self, socket: str) -> None:
        options = (("grpc.default_authority", "localhost"),)
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}", options=options)

    async def call(self, path: str, request: Any, answer: type[T], *, seconds: float) -> T:
        """`path` is `/package.Service/Method`. Raises: CallError."""
        stub = self._channel.unary_unary(
            path, request_serializer=wire.encode, response_deserializer=functools.partial(wire.decode, answer)
        )
        try:
            answered: T = await stub(request, timeout=seconds)
        except grpc.aio.AioRpcError as refused:
            raise _error(refused) from refused
        return answered

    async def stream(self, path: str, request: Any, answer: type[T]) -> AsyncIterator[T]:
        """Answers as they come, until the service ends the stream. Raises: CallError."""
        stub = self._channel.unary_stream(
            path, request_serializer=wire.encode, response_deserializer=functools.partial(wire.decode, answer)
        )
        stream = stub(request)
        try:
            while answered := await stream.read():
                yield answered
        except grpc.aio.AioRpcError as lost:
            raise _error(lost) from lost
        finally:
            stream.cancel()

    async def connections(self) -> AsyncIterator[bool]:
        """Whether somebody is there, now and whenever that changes; until it is closed."""
        while (state := self._channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.SHUTDOWN:
            yield state is grpc.ChannelConnectivity.READY
            await self._channel.wait_for_state_change(state)

    async def close(self) -> None:
        await self._channel.close()


def _error(refused: grpc.aio.AioRpcError) -> CallError:
    name = refused.code().name.title().replace("_", "").replace("Cancelled", "Canceled")
    return CallError(name, refused.details() or "")
