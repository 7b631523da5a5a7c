"""Identities and rights that others know of: OpenID Connect issuers, and webhooks that are asked.

A server that is not configured to ask anybody never imports the rest of this package.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.registry import User


class Known(NamedTuple):
    """Who a token stands for, and which of the asked-for audiences it is meant for."""

    user: User
    audiences: tuple[str, ...]


class TokenSource(Protocol):
    async def user(self, token: str, audiences: frozenset[str]) -> Known | None:
        """None for a token that is not this source's. Raises: BadToken."""
        ...


class Judge(Protocol):
    async def decide(self, asked: Attributes) -> Decision:
        """Asked about what the cluster's own rules do not allow."""
        ...


async def _nothing() -> None:
    """Nobody was asked, so no connection is open."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Everybody who knows something; `static` are tokens of a file. `close` it at the end.

    `anonymous_at` are the paths at which nobody has to say who he is, None for all.
    """

    sources: Sequence[TokenSource] = ()
    judge: Judge | None = None
    static: Mapping[str, User] = field(default_factory=dict)
    close: Callable[[], Awaitable[None]] = _nothing
    anonymous_at: frozenset[str] | None = None
