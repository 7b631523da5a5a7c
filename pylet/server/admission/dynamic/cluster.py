"""What dynamic admission needs of the server around it, and the one error it makes itself of what fails there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pylet.api.errors import InternalError
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.client.view import Table

if TYPE_CHECKING:
    from pylet.api.cel.library.authorizer import Ask
    from pylet.api.patch.shape import Shape
    from pylet.server.credentials import Credentials
    from pylet.server.registry.request import User


class Served(Protocol):
    """The kinds that are served now."""

    def by_kind(self, group: str, version: str, name: str) -> Kind | None: ...

    def by_resource(self, group: str, version: str, plural: str) -> Kind | None: ...

    def versions(self, kind: Kind) -> Sequence[Kind]: ...


class Caller(Protocol):
    """Calls a webhook. Raises: WebhookFailed."""

    async def call(
        self, config: Object, body: Object, *, timeout_seconds: float, credentials: Credentials | None = None
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """`table` fills a custom kind's table when it is first asked for; `convert` is the CRDs' conversion webhook; `ask`
    answers what an expression asks the authorizer on behalf of a user; `shape` is how objects of a kind are merged;
    `credentials` are shown to webhooks, by the name of the plugin that calls them."""

    table: Callable[[Kind], Awaitable[Table]]
    kinds: Served
    convert: Callable[[Kind, str, Sequence[Object]], Awaitable[list[Object]]]
    client: Caller
    ask: Callable[[User], Ask]
    shape: Callable[[Kind], Shape]
    credentials: Mapping[str, Credentials] = field(default_factory=dict)


def internal_error(why: str) -> InternalError:
    """Source: apierrors.NewInternalError."""
    return InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
