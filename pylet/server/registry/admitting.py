"""Who of admission's CHAIN sees a write, and asking them: first to complete the object, then to judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.api.patch import managed
from pylet.server.admission.chain import Chain
from pylet.server.admission.interface import Admit, Attributes
from pylet.server.registry.counted import AdmissionTimes
from pylet.server.registry.request import DeleteOptions, Request
from pylet.server.registry.state import State

_INVALID = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating "
    "admission controller; please fix your requests: "
)


class Admitted:
    """A write whose object is complete: `validate` it when it is as it will be stored, and `settle` it at the end."""

    __slots__ = ("_times", "_validate", "_write")

    def __init__(
        self, times: AdmissionTimes, write: Attributes | None = None, validate: Sequence[tuple[str, Admit]] = ()
    ) -> None:
        self._times = times
        self._write = write
        self._validate = validate

    async def validate(self, key: Key) -> None:
        """`key` names the object, which may have got its name only now. Raises: ApiError."""
        if self._write is None:
            return
        if self._write.key != key:
            self._write = replace(self._write, key=key, name=key.name, named=key.name)
        if self._validate:
            await self._times.ask(self._validate, self._write, "validate")

    async def settle(self) -> None:
        if self._write is not None:
            while self._write.settled:
                await self._write.settled.pop()()


class Admission:
    def __init__(self, state: State, chain: Chain, now: Callable[[], datetime]) -> None:
        self._state = state
        self._chain = chain
        self._now = now
        self._kinds = {kind.name: kind for kind in state.caches}
        self.times = AdmissionTimes()

    async def admit(
        self,
        request: Request,
        operation: str,
        kind: Kind,
        key: Key,
        obj: Object | None,
        old: Object | None,
        deleting: DeleteOptions | None = None,
    ) -> Admitted:
        """Have the plugins that see this write complete `obj`. Raises: ApiError."""
        # A custom resource may be called as a built-in one is; only what sees everything sees it.
        plural = kind.plural if kind.storage is None else ""
        admit, validate = self._chain.seeing(plural, request.subresource, operation)
        if not admit and not validate:
            return Admitted(self.times)
        meta = (obj or old or {}).get("metadata") or {}
        caches = self._state.caches
        cache = caches.get(kind)
        write = Attributes(
            operation=operation,
            kind=kind,
            key=key,
            name=key.name or meta.get("generateName", ""),
            subresource=request.subresource,
            user=request.user,
            obj=obj,
            old=old,
            table=lambda name: caches[self._kinds[name]].table,
            now=self._now,
            own=cache.table if cache is not None else None,
            dry_run=request.dry_run,
            warnings=request.warnings,
            request=request,
            deleting=deleting,
            named="" if request.verb == "deletecollection" else key.name,
        )
        owners = meta.get("managedFields")
        if admit:
            await self.times.ask(admit, write, "admit")
        if write.reinvocation.is_wanted:
            write.reinvocation.is_again = True
            await self.times.ask(admit, write, "admit")
        if obj is not None and "metadata" in obj:
            _restore_owners(obj["metadata"], owners, request.warnings)
        return Admitted(self.times, write, validate)


def _restore_owners(meta: Object, before: Any, warnings: list[str]) -> None:
    """Undo what makes no sense of who owns what. Source: apiserver pkg/endpoints/handlers/fieldmanager/admission.go."""
    after = meta.get("managedFields")
    if after is before or after == before:
        return
    try:
        managed.read(after)
    except ValueError as bad:
        warnings.append(f"{_INVALID}{bad}")
        meta.pop("managedFields")
        if before is not None:
            meta["managedFields"] = before
