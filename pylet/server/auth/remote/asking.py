"""HTTPS to whom the server asks about tokens and rights: JSON in and out, with a bound on time and size."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import orjson

from pylet.api.object import Object
from pylet.client import kubeconfig

if TYPE_CHECKING:
    import aiohttp

_SECONDS = 30
_ANSWER_BYTES = 4 << 20


class NoAnswer(Exception):
    """Nobody usable answered; the message says what was tried."""


class Asker:
    """One connection pool for all; `close` it at the end."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, tls: ssl.SSLContext | None) -> Any:
        """Raises: NoAnswer."""
        return await self._ask("GET", url, None, tls, {})

    async def post(self, target: kubeconfig.Endpoint, body: Object, tls: ssl.SSLContext | None) -> Any:
        """Raises: NoAnswer."""
        headers = {"Content-Type": "application/json"}
        if target.token:
            headers["Authorization"] = f"Bearer {target.token}"
        return await self._ask("POST", target.server, orjson.dumps(body), tls, headers)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, method: str, url: str, body: bytes | None, tls: ssl.SSLContext | None, headers: dict[str, str]
    ) -> Any:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS))
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, ssl=True if tls is None else tls
            ) as answer:
                raw = await answer.content.read(_ANSWER_BYTES)
                while more := await answer.content.read(_ANSWER_BYTES - len(raw)):
                    raw += more
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            raise NoAnswer(f"{method} {url}: {failed or 'no answer in time'}") from failed
        if not 200 <= answer.status < 300:
            raise NoAnswer(f"{method} {url}: status {answer.status}")
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as bad:
            raise NoAnswer(f"{method} {url}: the answer is not JSON") from bad
