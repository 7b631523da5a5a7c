"""Cluster roles made of others: their rules are those of the roles their aggregationRule selects.

Source: upstream `pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pylet.api import selector
from pylet.api.kinds.clusterrole import KIND as CLUSTER_ROLE
from pylet.api.object import Key, Object
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Controller, Patch, Plan, Watch


def plan(key: Key, view: View, now: datetime) -> Plan:
    role = view.get(CLUSTER_ROLE, key)
    if role is None or not role.get("aggregationRule"):
        return NOTHING
    rules: list[Object] = []
    for selected in _selected(role, view):
        rules += [rule for rule in selected.get("rules") or () if rule not in rules]
    if rules == (role.get("rules") or []):
        return NOTHING
    return Plan((Patch(CLUSTER_ROLE, key, {"rules": rules}),))


def _selected(role: Object, view: View) -> Iterator[Object]:
    for labels in role["aggregationRule"].get("clusterRoleSelectors") or ():
        found = view.select(CLUSTER_ROLE, matches=selector.from_object(labels))
        found.sort(key=lambda one: str(one["metadata"]["name"]))
        yield from (one for one in found if one["metadata"]["name"] != role["metadata"]["name"])


def _aggregated(entry: Entry, view: View) -> Iterable[Key]:
    """A change of any role may concern every role that is made of others."""
    for role in view.select(CLUSTER_ROLE):
        if role.get("aggregationRule"):
            yield Key("", role["metadata"]["name"])


CONTROLLER = Controller("clusterrole-aggregation-controller", (Watch(CLUSTER_ROLE, _aggregated),), plan)
