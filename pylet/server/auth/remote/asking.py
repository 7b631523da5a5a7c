"""HTTP to whom the server asks about tokens and rights: JSON in and out, with a bound on time and size.

Source: client-go rest/request.go and with_retry.go, apiserver pkg/util/webhook/webhook.go.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from pylet.aio.clock import Clock
from pylet.api import goduration, kinds, schema
from pylet.api.object import Object
from pylet.client import kubeconfig
from pylet.server import answered
from pylet.server.unreached import said

if TYPE_CHECKING:
    import aiohttp

SECONDS = 30.0
_ANSWER_BYTES = 4 << 20
_ATTEMPTS, _FIRST_WAIT, _FACTOR, _JITTER = 5, 0.5, 1.5, 0.2
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, */*",
    "Accept-Encoding": "gzip",
    "User-Agent": "kube-apiserver",
}
_ATTEMPTS_TOLD = 11  # of who is told when to come again


class NoAnswer(Exception):
    """Nobody usable answered; the message says what was tried. `is_transient`: asking again may help."""

    def __init__(self, message: str, *, is_transient: bool = False, is_late: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient
        self.is_late = is_late


class Asker:
    """One connection pool for all; `close` it at the end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, tls: ssl.SSLContext | None) -> Any:
        """Raises: NoAnswer."""
        return decoded(url, await self.read(url, tls))

    async def read(self, url: str, tls: ssl.SSLContext | None) -> bytes:
        """Raises: NoAnswer."""
        told = f'Get "{url}"'
        try:
            async with asyncio.timeout(SECONDS):
                status, _, raw, _ = await self._asked("GET", url, told, {"ssl": True if tls is None else tls})
        except TimeoutError as late:
            raise NoAnswer(f"{told}: {said(late)}") from late
        if not 200 <= status < 300:
            raise NoAnswer(f"GET {url}: status {status}")
        return raw

    async def post(
        self, target: kubeconfig.Endpoint, body: Object, tls: ssl.SSLContext | None, seconds: float
    ) -> Object:
        """The object that is answered. Raises: NoAnswer."""
        url = f"{target.server}?timeout={goduration.shown(timedelta(seconds=seconds))}"
        headers = dict(_HEADERS)
        if target.token and target.server.startswith("https:"):  # nobody else is to read it
            headers["Authorization"] = f"Bearer {target.token}"
        more: dict[str, Any] = {"data": orjson.dumps(body), "headers": headers, "ssl": True if tls is None else tls}
        if target.tls_server_name:
            more["server_hostname"] = target.tls_server_name
        told = f'Post "{url}"'
        try:
            async with asyncio.timeout(seconds):
                status, type_, raw = await self._heard(url, told, more)
        except TimeoutError as late:
            raise NoAnswer(f"{told}: {said(late)}", is_late=True) from late
        try:
            return _decoded(answered.obj(status, type_, raw), body)
        except (answered.Refused, ValueError) as refused:
            is_transient = status == 429 or (status >= 500 and status != 503)
            raise NoAnswer(str(refused), is_transient=is_transient, is_late=status == 504) from refused

    async def insist(self, ask: Callable[[], Awaitable[Object]]) -> Object:
        """What `ask` answers, some times again where that may help. Raises: NoAnswer."""
        wait = _FIRST_WAIT
        for _ in range(_ATTEMPTS - 1):
            try:
                return await ask()
            except NoAnswer as failed:
                if not failed.is_transient:
                    raise
            await self._clock.sleep(wait * random.uniform(1, 1 + _JITTER))
            wait *= _FACTOR
        return await ask()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _heard(self, url: str, told: str, more: dict[str, Any]) -> tuple[int, str, bytes]:
        """What is answered once it is not to come again later."""
        for _ in range(_ATTEMPTS_TOLD):
            status, type_, raw, wait = await self._asked("POST", url, told, more)
            if wait is None:
                break
            await self._clock.sleep(wait)
        return status, type_, raw

    async def _asked(
        self, method: str, url: str, told: str, more: dict[str, Any]
    ) -> tuple[int, str, bytes, int | None]:
        """Status, type and text of the answer, and in how many seconds to come again if that is said."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        try:
            async with self._session.request(method, url, **more) as answer:
                raw = await answer.content.read(_ANSWER_BYTES)
                while read := await answer.content.read(_ANSWER_BYTES - len(raw)):
                    raw += read
        except (aiohttp.ClientError, OSError) as failed:
            is_reset = isinstance(failed, ConnectionResetError)
            raise NoAnswer(f"{told}: {said(failed)}", is_transient=is_reset) from failed
        wait = answered.wait_seconds(answer.status, answer.headers)
        return answer.status, answer.headers.get("Content-Type", ""), raw, wait


def decoded(url: str, raw: bytes) -> Any:
    """What was answered there. Raises: NoAnswer."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as bad:
        raise NoAnswer(f"GET {url}: the answer is not JSON") from bad


def _decoded(found: Object, asked: Object) -> Object:
    """The review that was answered; it need not say what it is. Raises: ValueError."""
    kind, version = found.get("kind") or asked["kind"], found.get("apiVersion") or asked["apiVersion"]
    if (kind, version) == (asked["kind"], asked["apiVersion"]):
        schema.of(f"io.k8s.api.{version.partition('.')[0]}.v1.{kind}").decode(found)
        return found
    group, _, own = version.rpartition("/")
    published = "v1" if own == "v1beta1" and kind == asked["kind"] else own
    if kinds.by_kind(group, published, kind) is not None or (kind, version) == ("Status", "v1"):
        wanted = f"{asked['apiVersion'].rpartition('/')[2]}.{asked['kind']}"
        raise ValueError(f"converting ({own}.{kind}) to ({wanted}): unknown conversion")
    scheme = "k8s.io/client-go/kubernetes/scheme/register.go:82"
    raise ValueError(f'no kind "{kind}" is registered for version "{version}" in scheme "{scheme}"')
