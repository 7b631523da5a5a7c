"""A certificate that is renewed is used at once: what is connected with the old one ends, and whoever waits hears."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.client.http import HttpClient
from pylet.client.interface import Unreachable
from pylet.server.pki import Pki
from pylet.version import WRITTEN

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
_BOOKMARK = b'{"type":"BOOKMARK","object":{}}\n'


async def test_a_watch_ends_when_the_certificate_is_renewed(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.ensure(["127.0.0.1"], WRITTEN + timedelta(days=1))
    began, over = asyncio.Event(), asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD + b"%x\r\n%s\r\n" % (len(_BOOKMARK), _BOOKMARK))
        await over.wait()  # not even what TLS says at the end is answered
        writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0, ssl=pki.server_context())
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def tls() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(pki.ca.certificate))

    async with HttpClient(url, tls) as client:

        async def watch() -> None:
            async for _ in client.watch(CONFIG_MAP, since="1"):
                began.set()

        watching = asyncio.create_task(watch())
        await began.wait()
        await client.renewed()
        with pytest.raises(Unreachable):
            await asyncio.wait_for(watching, 20)
    over.set()
    server.close()
