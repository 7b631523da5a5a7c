"""What an admission plugin is: it sees every write of the resources it names, and completes the object or refuses.

Every `admit` runs in CHAIN's order after decoding and defaulting, before the kind's own rules; every `validate` in the
same order after them, on the object as it will be stored. A plugin that only decides on what it is given is a plain
function inside an `async` shell; only some have to wait for something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from pylet.api.errors import Forbidden, Timeout
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.client.view import Table

if TYPE_CHECKING:
    from pylet.server.registry.request import DeleteOptions, Request, User

CREATE = "create"
UPDATE = "update"
DELETE = "delete"
CONNECT = "connect"


class Reinvocation:
    """Whether those that may change the object are asked once more, and what they remember until then, by plugin."""

    __slots__ = ("is_again", "is_wanted", "notes")

    def __init__(self) -> None:
        self.is_wanted = False
        self.is_again = False
        self.notes: dict[str, Any] = {}


@dataclass(slots=True, kw_only=True)  # as Request, made for every write
class Attributes:
    """One write. `obj` is private and may be changed (None when deleting); `old` is shared (None when creating).

    `name` is the object's, or its generateName while it has none. `table` reads the cluster; kinds by their names, as
    `table("Pod")`; `own` is that of the written kind, None where nothing is stored. `warnings` reach the client.
    `settled` are awaited once the write is in the tables, or has failed: they end what a plugin holds meanwhile.
    `now` tells the time. `request` is the call that led here, `deleting` how it deletes; `named` is the name it came
    with, "" where the server makes one up or deletes many.
    """

    operation: str
    kind: Kind
    key: Key
    name: str
    subresource: str
    user: User
    obj: Object | None
    old: Object | None
    table: Callable[[str], Table]
    now: Callable[[], datetime]
    own: Table | None = None
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    settled: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    request: Request
    deleting: DeleteOptions | None = None
    named: str = ""
    reinvocation: Reinvocation = field(default_factory=Reinvocation)

    def forbidden(self, why: str) -> Forbidden:
        """The refusal, worded as upstream's admission.NewForbidden."""
        return Forbidden(self.kind.group, self.kind.plural, self.name or "Unknown", why)


Admit: TypeAlias = Callable[[Attributes], Awaitable[None]]
"""Raises: ApiError."""


class OutOfTime(Timeout):
    """What a client gave to its request is over before all who are asked about it have answered."""

    def __init__(self) -> None:
        super().__init__("Timeout: request did not complete within the allotted timeout", details={})


@dataclass(frozen=True, slots=True)
class Plugin:
    """`name` is upstream's. `resources` are the operations it sees, by `plural` or `plural/subresource`; "*" stands for
    all. `admit` may change the object, `validate` only judges it."""

    name: str
    resources: Mapping[str, frozenset[str]]
    admit: Admit | None = None
    validate: Admit | None = None
