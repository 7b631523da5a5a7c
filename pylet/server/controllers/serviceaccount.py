"""ServiceAccount: every namespace that is not ending has its `default` one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, is_terminating
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Controller, Create, Plan, Watch, itself


def plan(key: Key, view: View, now: datetime) -> Plan:
    namespace = view.get(NAMESPACE, key)
    if namespace is None or is_terminating(namespace):
        return NOTHING
    if view.get(SERVICE_ACCOUNT, Key(key.name, "default")) is not None:
        return NOTHING
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": key.name},
    }
    return Plan((Create(SERVICE_ACCOUNT, account),))


def _of_namespace(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key.name == "default":
        yield Key("", entry.key.namespace)


CONTROLLER = Controller("serviceaccount", (Watch(NAMESPACE, itself), Watch(SERVICE_ACCOUNT, _of_namespace)), plan)
