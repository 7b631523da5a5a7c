"""Where Ingresses are reached: at every ready node whose proxy says that it serves (`agent.ingress`)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.ingress import SERVES, ours
from pylet.api.kinds.ingress import KIND as INGRESS
from pylet.api.kinds.ingressclass import KIND as INGRESS_CLASS
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, annotations_of, condition_of, dig, is_terminating
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Watch, itself, patch_status

NAME = "ingress"
"""What `--disable` calls it."""


def plan(key: Key, view: View, now: datetime) -> Plan:
    ingress = view.get(INGRESS, key)
    if ingress is None or is_terminating(ingress) or not ours([ingress], view.select(INGRESS_CLASS)):
        return NOTHING
    addresses = sorted(address for node in view.select(NODE) if _serves(node) for address in _addresses(node))
    found = {"ingress": [{"ip": address} for address in addresses]} if addresses else {}
    return Plan(patch_status(INGRESS, ingress, {**ingress.get("status", {}), "loadBalancer": found}))


def _serves(node: Object) -> bool:
    ready = condition_of(node, "Ready")
    return bool(ready and ready["status"] == "True") and annotations_of(node).get(SERVES) == "true"


def _addresses(node: Object) -> Iterable[str]:
    """Where it is reached from outside, if it says so; else where it is."""
    by_type: dict[str, list[str]] = {}
    for address in dig(node, "status", "addresses", default=()) or ():
        by_type.setdefault(address["type"], []).append(address["address"])
    return by_type.get("ExternalIP") or by_type.get("InternalIP") or ()


def _all(entry: Entry, view: View) -> Iterable[Key]:
    return view.table(INGRESS).entries


def controller() -> Controller:
    return Controller(NAME, (Watch(INGRESS, itself), Watch(INGRESS_CLASS, _all), Watch(NODE, _all)), plan)
