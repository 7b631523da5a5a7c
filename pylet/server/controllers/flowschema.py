"""FlowSchemas: told whether the priority level they name exists.

Source: apiserver `pkg/util/flowcontrol/apf_controller.go`, syncFlowSchemaStatus.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.kinds.flowschema import KIND as FLOW_SCHEMA
from pylet.api.kinds.prioritylevelconfiguration import KIND as PRIORITY_LEVEL
from pylet.api.object import Key, conditions_of, is_terminating
from pylet.client.view import Entry, View
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Watch, itself, patch_status

_REFERENCES = 'This FlowSchema references the PriorityLevelConfiguration object named "{}"'


def plan(key: Key, view: View, now: datetime) -> Plan:
    schema = view.get(FLOW_SCHEMA, key)
    if schema is None or is_terminating(schema):
        return NOTHING
    name = schema["spec"]["priorityLevelConfiguration"]["name"]
    exists = view.get(PRIORITY_LEVEL, Key("", name)) is not None
    says = f"{_REFERENCES.format(name)} {'and it exists' if exists else 'but there is no such object'}"
    wanted = {
        "type": "Dangling",
        "status": "False" if exists else "True",
        "reason": "Found" if exists else "NotFound",
        "message": says,
    }
    return Plan(patch_status(FLOW_SCHEMA, schema, {"conditions": with_condition(conditions_of(schema), wanted, now)}))


def _all(entry: Entry, view: View) -> Iterable[Key]:
    yield from view.table(FLOW_SCHEMA).entries


CONTROLLER = Controller("flow-schema", (Watch(FLOW_SCHEMA, itself), Watch(PRIORITY_LEVEL, _all)), plan)
