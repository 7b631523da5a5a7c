"""What the registry does for its callers: the HTTP room, loopback and the embedded parts.

Entries carry the final bytes of the *stored* version (`kind.stored_as or kind`) with resourceVersion in place; turning
them into another version, a Table, metadata or protobuf is the caller's business. All methods raise `ApiError`.
"""

from __future__ import annotations

from typing import Any, Protocol

from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.client.interface import PatchType
from pylet.client.view import Entry, Table
from pylet.server.registry.answers import Deleted, Page, Subscription, Written
from pylet.server.registry.request import DeleteOptions, ListOptions, Request


class Registry(Protocol):
    def table(self, kind: Kind) -> Table:
        """The watch cache's current state: live, shared, read-only."""
        ...

    @property
    def revision(self) -> int:
        """The revision the cache has reached, for all kinds together."""
        ...

    async def get(self, request: Request, revision: str = "") -> Entry:
        """Subresources `status` and `scale` are read here too; scale's entry is made on demand."""
        ...

    async def list(self, request: Request, options: ListOptions) -> Page: ...

    async def watch(self, request: Request, options: ListOptions) -> Subscription:
        """Raises: Expired, which a watch answers as an ERROR event of a 200 stream; others are plain refusals."""
        ...

    async def create(self, request: Request, obj: Object) -> Written:
        """`obj` becomes the registry's. With a subresource (binding, eviction), `request.key` names the parent."""
        ...

    async def update(self, request: Request, obj: Object) -> Written:
        """PUT, of the object or of a subresource (status, scale, finalize, …)."""
        ...

    async def patch(self, request: Request, patch: Any, type_: PatchType) -> Written:
        """`patch` is decoded JSON. Raises: UnsupportedMediaType for APPLY until field ownership is kept."""
        ...

    async def delete(self, request: Request, options: DeleteOptions) -> Deleted: ...

    async def delete_collection(self, request: Request, selection: ListOptions, options: DeleteOptions) -> Page:
        """The deleted objects, as the list they are answered as."""
        ...
