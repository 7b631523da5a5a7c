"""FlowSchemas: told whether their priority level is there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pylet.api.kinds.flowschema import KIND as FLOW_SCHEMA
from pylet.api.kinds.prioritylevelconfiguration import KIND as LEVEL
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import flowschema
from pylet.server.reconcile.plan import NOTHING, Patch, Plan

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCHEMA: Object = {"metadata": {"name": "s"}, "spec": {"priorityLevelConfiguration": {"name": "l"}}, "status": {}}


def plan(schema: Object, *, has_level: bool) -> Plan:
    tables = {FLOW_SCHEMA: Table(FLOW_SCHEMA), LEVEL: Table(LEVEL)}
    tables[FLOW_SCHEMA].put(Entry.of(FLOW_SCHEMA, schema))
    if has_level:
        tables[LEVEL].put(Entry.of(LEVEL, {"metadata": {"name": "l"}, "spec": {}}))
    return flowschema.CONTROLLER.plan(Key("", "s"), View(tables), NOW)


@pytest.mark.parametrize(("has_level", "dangling"), [(True, "False"), (False, "True")], ids=["there", "missing"])
def test_it_is_told_once(has_level: bool, dangling: str) -> None:
    (told,) = plan(SCHEMA, has_level=has_level).actions
    assert isinstance(told, Patch)
    (condition,) = told.patch["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Dangling", dangling)
    assert plan({**SCHEMA, "status": told.patch["status"]}, has_level=has_level) == NOTHING
