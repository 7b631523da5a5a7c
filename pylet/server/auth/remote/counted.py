"""What is counted of tokens of outside issuers, and of the keys that these publish.

Issuers are told by hashes of their URLs. Source: apiserver plugin/pkg/authenticator/token/oidc/metrics.go.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import perf_counter

from pylet.aio.prometheus import Histogram, gauges
from pylet.server import identity
from pylet.server.auth.tokens import BadToken

_PREFIX = "apiserver_authentication_jwt_authenticator"
_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def hashed(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Judging:
    """How a token is judged; one that is not the issuer's does not count."""

    is_meant = True


class Counted:
    def __init__(self) -> None:
        self._server = hashed(identity.name_of(socket.gethostname()).encode())
        self._seconds = Histogram(
            f"{_PREFIX}_latency_seconds", "Judging tokens.", ("jwt_issuer_hash", "result"), _SECONDS
        )
        self._read: dict[tuple[str, str], datetime] = {}  # by issuer and result, when its keys were read
        self._keys: dict[str, str] = {}

    @contextmanager
    def judging(self, issuer: str) -> Iterator[Judging]:
        began, judging, result = perf_counter(), Judging(), "success"
        try:
            yield judging
        except BadToken:
            result = "failure"
            raise
        finally:
            if judging.is_meant:
                self._seconds.observe(perf_counter() - began, hashed(issuer.encode()), result)

    def read(self, issuer: str, at: datetime, keys: bytes | None) -> None:
        """`keys` is what the issuer published; None where that could not be read."""
        self._read[issuer, "failure" if keys is None else "success"] = at
        if keys is not None:
            self._keys[issuer] = hashed(keys)

    def forget(self, issuer: str) -> None:
        """It is not believed any more."""
        self._keys.pop(issuer, None)
        for result in ("failure", "success"):
            self._read.pop((issuer, result), None)

    def lines(self) -> Iterator[str]:
        yield from self._seconds.lines()
        times = [
            ({**self._of(issuer), "result": result}, at.timestamp()) for (issuer, result), at in self._read.items()
        ]
        yield from gauges(f"{_PREFIX}_jwks_fetch_last_timestamp_seconds", "When keys were read.", times)
        sets = [({**self._of(issuer), "hash": keys}, 1) for issuer, keys in self._keys.items()]
        yield from gauges(f"{_PREFIX}_jwks_fetch_last_key_set_info", "Which keys they were.", sets)

    def _of(self, issuer: str) -> dict[str, str]:
        return {"jwt_issuer_hash": hashed(issuer.encode()), "apiserver_id_hash": self._server}
