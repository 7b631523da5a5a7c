"""The Client protocol: how controllers, scheduler, kubelet, proxy and CLI reach the API.

Two things implement it, `client.http` and the server's `loopback`; there is no fake client (tests use the loopback on a
memory store). Objects that come out are shared and must not be changed; `deep copy` before editing. Errors are
`pylet.api.errors.ApiError`; a transport that fails raises `Unreachable`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.client.view import Table


class Unreachable(ApiError):
    """No answer came from the API server; whether a write took effect is unknown."""

    code, reason = 503, "ServiceUnavailable"


class PatchType(StrEnum):
    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer to a list: the objects and the revision to watch from; `more` is the continue token or ""."""

    items: list[Object]
    revision: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """One watch event: type is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


Changes: TypeAlias = list[Changed]


class Client(Protocol):
    async def get(self, kind: Kind, key: Key, *, subresource: str = "") -> Object: ...

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        more: str = "",
        revision: str = "",
    ) -> Listing:
        """`namespace` "" lists all; `labels` and `fields` are selectors in their string form."""
        ...

    async def create(self, kind: Kind, obj: Object, *, key: Key | None = None, subresource: str = "") -> Object:
        """`key` names the parent when a subresource is created (binding, eviction, token)."""
        ...

    async def update(self, kind: Kind, obj: Object, *, subresource: str = "") -> Object:
        """Compare-and-swap when `obj` carries a resourceVersion. Raises: Conflict."""
        ...

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Any,
        *,
        type_: PatchType = PatchType.MERGE,
        subresource: str = "",
        manager: str = "",
        force: bool = False,
    ) -> Object: ...

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str = "",
        revision: str = "",
        grace_seconds: int | None = None,
        propagation: str = "",
    ) -> Object:
        """`uid` and `revision` are preconditions; `propagation` is Background, Foreground, Orphan or "" (default)."""
        ...

    def watch(
        self, kind: Kind, namespace: str = "", *, since: str, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Changes]:
        """Changes after revision `since`, in order, in the batches they arrived in. Raises: Expired (list again)."""
        ...


class Tables(Protocol):
    """Where the tables of a View come from: informers over HTTP, or the server's own watch cache.

    A table may hold more than was selected (the watch cache always does), so readers look up by index and key.
    """

    async def table(self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = "") -> Table:
        """The filled table of that selection; waits until it has been filled once."""
        ...

    async def object_table(self, kind: Kind, key: Key) -> Table:
        """A table that holds the object `key` while it exists."""
        ...

    def release(self, kind: Kind, key: Key) -> None:
        """The last reader of `object_table(kind, key)` is gone."""
        ...
