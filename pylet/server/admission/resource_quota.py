"""What a namespace uses stays within its quotas, however many create at once.

Usage is what the tables hold and, beside that, what admitted writes will bring that are not in the tables yet; there is
no await between looking and reserving, so no two writes take the same place. `status.used` is for people to read: the
controller writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pylet.api.object import Key, revision_of
from pylet.client.view import Table
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin

if TYPE_CHECKING:
    from pylet.server.quota.check import Charges

_CHANGED = frozenset((CREATE, UPDATE))
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


async def validate(write: Attributes) -> None:
    table, namespace, obj = write.own, write.key.namespace, write.obj
    if table is None or obj is None or not namespace:
        return
    entries = write.table("ResourceQuota").in_namespace(namespace)
    if not entries:
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
        charges = check.charges(table, quotas, obj, write.old, pending, write.now(), extended)
    except check.Refused as refused:
        raise write.forbidden(str(refused)) from refused
    if not charges or write.dry_run:
        return
    held = _Reserved(write.key, 0 if write.old is None else revision_of(write.old), charges)
    _reserved.setdefault(place, []).append(held)

    def release() -> None:
        _reserved[place].remove(held)
        if not _reserved[place]:
            del _reserved[place]

    write.settled.append(release)


PLUGIN = Plugin("ResourceQuota", {"*": frozenset((CREATE,)), **dict.fromkeys(_CHANGING, _CHANGED)}, validate=validate)
