"""ResourceQuota: write how much of it is used, whenever that changes.

Source: pkg/controller/resourcequota.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from pylet.api import podresources
from pylet.api.kind import Kind
from pylet.api.kinds.deviceclass import KIND as CLASS
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.kinds.resourcequota import KIND as QUOTA
from pylet.api.object import Key, Object
from pylet.api.podresources import Amounts
from pylet.client.view import Entry, Table, View
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Watch, itself, patch_status

_RESYNC = timedelta(minutes=5)
_MEASURED = ("pods", "services", "persistentvolumeclaims", "resourceclaims")  # that more than their number counts of


def controller(tables: Mapping[Kind, Table]) -> Controller:
    """`tables` are all there are, custom kinds among them as they come."""

    def plan(key: Key, view: View, now: datetime) -> Plan:
        from pylet.server.quota import ledger, measure
        from pylet.server.quota.extended import Extended

        quota = view.get(QUOTA, key)
        if quota is None:
            if not view.table(QUOTA).in_namespace(key.namespace):
                ledger.forget(tables.values(), key.namespace)
            return NOTHING
        hard = quota["spec"].get("hard") or {}
        counted = measure.resources_of(hard)
        used: Amounts = {}
        for kind, table in tables.items():
            if kind.resource in counted and kind.stored_as is None and kind.resource not in measure.IGNORED:
                podresources.add(used, ledger.used(quota, table, now))
        extended = Extended(view.table(CLASS), view.table(CLAIM), view.table(POD))
        podresources.add(used, extended.used(key.namespace, extended.names(quota)))
        status: Object = {"hard": dict(hard), "used": {name: str(amount) for name, amount in used.items()}}
        ends = ledger.next_end(tables.values(), key.namespace)
        wait = _RESYNC if ends is None else min(_RESYNC, ends - now + timedelta(seconds=1))
        return Plan(patch_status(QUOTA, quota, status), wait)

    counted = (Watch(kind, _quotas_counting(kind)) for kind in tables if kind.namespaced)
    return Controller(
        "resourcequota",
        (Watch(QUOTA, itself), Watch(CLASS, _all_quotas), *counted),
        plan,
        lambda kind: Watch(kind, _quotas_counting(kind)),
    )


def _all_quotas(entry: Entry, view: View) -> Iterable[Key]:
    """A class may stand for another resource now."""
    return view.table(QUOTA).entries


def _quotas_counting(kind: Kind) -> Callable[[Entry, View], Iterable[Key]]:
    """A change of an object concerns the quotas of its namespace that may count it."""
    is_measured = kind.plural in _MEASURED
    needles = f'"count/{kind.resource}"'.encode(), f'"{kind.resource}"'.encode()

    def keys(entry: Entry, view: View) -> Iterable[Key]:
        for key, quota in view.table(QUOTA).in_namespace(entry.key.namespace).items():
            if is_measured or any(needle in quota.raw for needle in needles):
                yield key

    return keys
