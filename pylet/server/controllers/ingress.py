"""Where Ingresses are reached: at every ready node whose proxy says that it serves (`agent.ingress`)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.ingress import addresses_of, ours
from pylet.api.kinds.ingress import KIND as INGRESS
from pylet.api.kinds.ingressclass import KIND as INGRESS_CLASS
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, is_terminating
from pylet.client.view import Entry, View
from pylet.server.reconcile.nodes import standing
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Watch, itself, patch_status

NAME = "ingress"
"""What `--disable` calls it."""


def plan(key: Key, view: View, now: datetime) -> Plan:
    ingress = view.get(INGRESS, key)
    if ingress is None or is_terminating(ingress) or not ours([ingress], view.select(INGRESS_CLASS)):
        return NOTHING
    addresses = addresses_of(view.select(NODE))
    found = {"ingress": [{"ip": address} for address in addresses]} if addresses else {}
    return Plan(patch_status(INGRESS, ingress, {**ingress.get("status", {}), "loadBalancer": found}))


def _all(entry: Entry, view: View) -> Iterable[Key]:
    return view.table(INGRESS).entries


def controller() -> Controller:
    return Controller(NAME, (Watch(INGRESS, itself), Watch(INGRESS_CLASS, _all), Watch(NODE, _all, standing)), plan)
