"""The cluster's CA as the CSR signer knows it: what a request asks for, and a certificate for it.

What does it, `issuing`, is loaded with the first request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from pylet.aio.elsewhere import elsewhere
from pylet.version import WRITTEN

if TYPE_CHECKING:
    from pylet.aio.certificate import Pair
    from pylet.server.issuing import Issuer

LEAF_LIFE = timedelta(days=365)


class BadRequest(ValueError):
    """A certificate request nobody can sign; the message says why."""


@dataclass(slots=True)
class Asked:
    """What a certificate request asks for: common name, organizations and alternative names."""

    name: str
    organizations: tuple[str, ...]
    dns: tuple[str, ...]
    ips: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]


class Authority:
    def __init__(self, ca: Pair, clock: Callable[[], datetime]) -> None:
        self._ca = ca
        self._clock = clock
        self._issuer: Issuer | None = None

    def kubelet_serving(self, node: str, names: Sequence[str]) -> tuple[bytes, bytes]:
        """A certificate and its key for the kubelet beside this server. It blocks for 0.2 s."""
        return elsewhere(partial(_kubelet_serving, self._ca, node, self._now(), names), unless_loaded="cryptography")

    def subject(self, request: bytes) -> Asked:
        """What a PEM request asks for. Raises: ValueError."""
        from pylet.server import issuing

        return issuing.read(request)

    def sign(self, request: bytes, usages: Iterable[str], life: timedelta = LEAF_LIFE) -> bytes:
        """The PEM certificate for a PEM request, subject and alternative names as asked. Raises: BadRequest."""
        from pylet.server import issuing

        if self._issuer is None:
            self._issuer = issuing.Issuer.of(self._ca)
        return issuing.sign(self._issuer, request, usages, life, self._now())

    def _now(self) -> datetime:
        return max(self._clock(), WRITTEN)


def _kubelet_serving(ca: Pair, node: str, now: datetime, names: Sequence[str]) -> tuple[bytes, bytes]:
    from pylet.server.issuing import new_leaf

    return new_leaf(ca, f"system:node:{node}", "system:nodes", now, "server auth", names)
