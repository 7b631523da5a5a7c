"""The smallest HTTP server: of a connection one request's head is read, and answered at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

_SECONDS = 10.0
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Answer(NamedTuple):
    code: int
    body: str
    type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = _NO_HEADERS


async def serve(answer: Callable[[str], Answer], address: str | None, port: int) -> asyncio.Server:
    """`answer` is given the path, without its query, whatever the method. Raises: OSError."""

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_encoded(answer(_path(head))))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    return await asyncio.start_server(heard, address, port)


def _path(head: bytes) -> str:
    return "".join(head.decode("latin-1").split(" ")[1:2]).partition("?")[0]


def _encoded(answer: Answer) -> bytes:
    body = answer.body.encode()
    own = {"Content-Type": answer.type, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in {**own, **answer.headers}.items()]
    head = f"HTTP/1.1 {answer.code} {HTTPStatus(answer.code).phrase}"
    return "\r\n".join([head, *lines, "", ""]).encode() + body
