"""Cluster roles made of others, until nothing is left to write."""

from __future__ import annotations

from datetime import UTC, datetime

from pylet.api.kinds.clusterrole import KIND as CLUSTER_ROLE
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.auth import default_roles
from pylet.server.controllers import clusterrole_aggregation
from pylet.server.reconcile.plan import NOTHING, Patch, Plan

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def plan(table: Table, name: str) -> Plan:
    return clusterrole_aggregation.CONTROLLER.plan(Key("", name), View({CLUSTER_ROLE: table}), NOW)


def settle(table: Table, name: str) -> Object:
    (patch,) = plan(table, name).actions
    assert isinstance(patch, Patch)
    role: Object = {**table.entries[patch.key].object, **patch.patch}
    table.put(Entry.of(CLUSTER_ROLE, role))
    assert plan(table, name) == NOTHING
    return role


def test_admin_is_made_of_edit_which_is_made_of_view() -> None:
    table = Table(CLUSTER_ROLE)
    for role in default_roles.objects():
        if role["kind"] == "ClusterRole":
            table.put(Entry.of(CLUSTER_ROLE, role))
    view, edit, admin = (settle(table, name) for name in ("view", "edit", "admin"))
    assert all(rule in edit["rules"] for rule in view["rules"])
    assert all(rule in admin["rules"] for rule in edit["rules"])
    assert len(admin["rules"]) > len(edit["rules"]) > len(view["rules"])
    keys = clusterrole_aggregation.CONTROLLER.watches[0].keys(
        table.entries[Key("", "view")], View({CLUSTER_ROLE: table})
    )
    assert sorted(key.name for key in keys) == ["admin", "edit", "view"]


def test_a_plain_role_is_left_alone() -> None:
    table = Table(CLUSTER_ROLE)
    table.put(Entry.of(CLUSTER_ROLE, {"metadata": {"name": "plain"}, "rules": []}))
    assert plan(table, "plain") == NOTHING
