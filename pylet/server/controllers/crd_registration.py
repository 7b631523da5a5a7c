"""APIServices of what custom resources bring: one for each group and version that a definition serves.

Whoever wants one to lead elsewhere takes its label away; then it is left alone.
Source: pkg/controlplane/controller/crdregistration, kube-aggregator pkg/controllers/autoregister.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.kinds.apiservice import KIND as API_SERVICE
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.object import Key, Object, is_terminating, labels_of, uid_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Controller, Create, Delete, Plan, Update, Watch, itself

_LABEL, _ALWAYS = "kube-aggregator.kubernetes.io/automanaged", "true"


def plan(key: Key, view: View, now: datetime) -> Plan:
    found = view.get(API_SERVICE, key)
    version, _, group = key.name.partition(".")
    wanted = {"group": group, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 100}
    is_served = _is_served(group, version, view)
    if found is None:
        return Plan((Create(API_SERVICE, _made(key.name, wanted)),)) if is_served else NOTHING
    if is_terminating(found) or labels_of(found).get(_LABEL) != _ALWAYS:
        return NOTHING
    if not is_served:
        return Plan((Delete(API_SERVICE, key, uid_of(found)),))
    return NOTHING if found["spec"] == wanted else Plan((Update(API_SERVICE, {**found, "spec": wanted}),))


def _is_served(group: str, version: str, view: View) -> bool:
    # Definitions may be large: the version's text is looked for before anything is decoded.
    text = f'"{version}"'.encode()
    return any(
        version in _versions(entry)
        for entry in view.table(DEFINITION).entries.values()
        if entry.key.name.partition(".")[2] == group and text in entry.raw
    )


def _versions(entry: Entry) -> list[str]:
    return [version["name"] for version in entry.decoded()["spec"]["versions"] if version["served"]]


def _made(name: str, spec: Object) -> Object:
    return {
        "apiVersion": API_SERVICE.api_version,
        "kind": API_SERVICE.name,
        "metadata": {"name": name, "labels": {_LABEL: _ALWAYS}},
        "spec": spec,
    }


def _of_definition(entry: Entry, view: View) -> Iterable[Key]:
    group = entry.key.name.partition(".")[2]
    for version in _versions(entry):
        yield Key("", f"{version}.{group}")


CONTROLLER = Controller("crd-registration", (Watch(API_SERVICE, itself), Watch(DEFINITION, _of_definition)), plan)
