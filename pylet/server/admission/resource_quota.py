"""What a namespace uses stays within its quotas, however many create at once.

Usage is what the tables hold and, beside that, what admitted writes will bring that are not in the tables yet; there is
no await between looking and reserving, so no two writes take the same place. `status.used` is for people to read: the
controller writes it, and clients get their answers when it has, so that who looks then finds what was written counted,
as upstream, where admission writes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pylet.api.errors import ApiError
from pylet.api.object import Key, Object, revision_of
from pylet.client.view import Table
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin

if TYPE_CHECKING:
    from pylet.server.quota.check import Charges

_CHANGED = frozenset((CREATE, UPDATE))
_MOST_SECONDS = 0.1  # that an answer waits for its usage to be told; it takes 3 ms
_CHANGING = ("pods", "pods/resize", "services", "persistentvolumeclaims", "resourceclaims")


@dataclass(frozen=True, slots=True, eq=False)
class _Reserved:
    """What a write under way will add to what was there at `revision`."""

    key: Key
    revision: int
    charges: Charges

    def is_visible(self, table: Table) -> bool:
        entry = table.entries.get(self.key)
        return entry is not None and entry.revision > self.revision


_reserved: dict[tuple[Table, str], list[_Reserved]] = {}
"""By table and namespace."""


async def _validate(limited: Sequence[Object], write: Attributes) -> None:
    table, namespace, obj = write.own, write.key.namespace, write.obj
    if table is None or obj is None or not namespace:
        return
    entries = write.table("ResourceQuota").in_namespace(namespace)
    if not entries and not limited:
        return
    from pylet.server.quota import check, measure
    from pylet.server.quota.extended import Extended

    if write.kind.resource in measure.IGNORED or not check.handles(
        write.kind.plural, write.subresource, obj, write.old
    ):
        return
    place = table, namespace
    pending = [
        held.charges
        for (other, where), all_held in _reserved.items()
        for held in all_held
        if where == namespace and not held.is_visible(other)
    ]
    quotas = [entry.object for _, entry in sorted(entries.items())]
    try:
        extended = Extended(*(write.table(kind) for kind in ("DeviceClass", "ResourceClaim", "Pod")))
        charges = check.charges(table, quotas, obj, write.old, pending, write.now(), extended, limited)
    except check.Refused as refused:
        raise write.forbidden(str(refused)) from refused
    except check.Uncovered as uncovered:
        raise ApiError(str(uncovered)) from uncovered  # not Forbidden: upstream does not word it as a refusal
    if not charges or write.dry_run:
        return
    held = _Reserved(write.key, 0 if write.old is None else revision_of(write.old), charges)
    _reserved.setdefault(place, []).append(held)

    async def release() -> None:
        _reserved[place].remove(held)
        if not _reserved[place]:
            del _reserved[place]
        if not write.request.is_own and held.is_visible(table):
            await _told(write, table, charges)

    write.settled.append(release)


async def _told(write: Attributes, table: Table, charges: Charges) -> None:
    """Wait until each quota says at least what is used now."""
    from pylet.server.quota import check, ledger

    quotas, now = write.table("ResourceQuota"), write.now()
    entries = ((key, quotas.entries.get(key)) for key in (Key(write.key.namespace, name) for name in charges))
    used = {key: ledger.used(entry.object, table, now) for key, entry in entries if entry is not None}
    changed = asyncio.Event()
    unheard = quotas.listen(lambda _, __: changed.set())
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            while any(not check.tells(quotas.entries.get(key), amounts) for key, amounts in used.items()):
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return
    finally:
        unheard()


def plugin(limited: Sequence[Object] = ()) -> Plugin:
    """`limited` are the entries of a configuration's limitedResources: what takes a quota to be used at all."""
    resources = {"*": frozenset((CREATE,)), **dict.fromkeys(_CHANGING, _CHANGED)}
    return Plugin("ResourceQuota", resources, validate=partial(_validate, limited))
