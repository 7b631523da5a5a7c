"""Identities and rights that others know of: OpenID Connect issuers, and webhooks that are asked.

A server that is not configured to ask anybody never imports the rest of this package.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.authorize import Chain
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
    async def decide(self, asked: Attributes) -> Decision: ...


class Followed(Protocol):
    """A file that is read again when it changes, while it runs."""

    async def run(self) -> None: ...

    def metrics(self) -> Iterator[str]: ...


async def _nothing() -> None:
    """Nobody was asked, so no connection is open."""


def _no_lines() -> Iterator[str]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Outside:
    """Everybody who knows something; `static` are tokens of a file. `close` it at the end.

    `anonymous_at` are the paths at which nobody has to say who he is, None for all.
    """

    sources: Sequence[TokenSource] = ()
    chain: Chain = field(default_factory=Chain)
    static: Mapping[str, User] = field(default_factory=dict)
    close: Callable[[], Awaitable[None]] = _nothing
    anonymous_at: frozenset[str] | None = None
    files: Sequence[Followed] = ()
    metrics: Callable[[], Iterator[str]] = _no_lines
