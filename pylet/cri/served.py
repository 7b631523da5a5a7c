"""A gRPC service of pylet's own behind a Unix socket, for plugins of the node to call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

Method: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""From the request's bytes to the answer's. Raises: Refused."""

_STOP_SECONDS = 1.0


class Refused(Exception):
    """A call is not done; the text is what the caller is told."""


async def serve(socket: Path, methods: Mapping[str, Method]) -> None:
    """Until cancelled. `methods` by path, `/package.Service/Method`."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Methods(methods),))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop(_STOP_SECONDS)


@dataclass(frozen=True, slots=True)
class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc]
    by_path: Mapping[str, Method]

    def service(self, call: Any) -> Any:
        method = self.by_path.get(call.method)
        if method is None:
            return None

        async def answer(request: bytes, context: Any) -> bytes:
            try:
                return await method(request)
            except Refused as refused:
                await context.abort(grpc.StatusCode.UNKNOWN, str(refused))
                raise

        return grpc.unary_unary_rpc_method_handler(answer)
