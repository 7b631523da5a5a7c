"""Root CA publisher: every namespace has a ConfigMap with what to trust the API server by.

Source: upstream `pkg/controller/certificates/rootcacertpublisher/publisher.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.aio.prometheus import Counter, Histogram, doubling
from pylet.api.errors import ApiError
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Key, annotations_of, is_terminating
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Controller, Create, Patch, Plan, Synced, Watch, itself, told_of

_LOOKS = Counter("root_ca_cert_publisher_sync_total", "Looks at namespaces.", ("code",))
_SECONDS = Histogram("root_ca_cert_publisher_sync_duration_seconds", "Looking.", ("code",), doubling(0.001, 15))

NAME = "kube-root-ca.crt"
_DESCRIBES = "kubernetes.io/description"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def controller(ca_pem: str) -> Controller:
    data = {"ca.crt": ca_pem}

    def plan(key: Key, view: View, now: datetime) -> Plan:
        namespace = view.get(NAMESPACE, key)
        if namespace is None or is_terminating(namespace):
            return NOTHING
        found = view.get(CONFIG_MAP, Key(key.name, NAME))
        if found is None:
            meta = {"name": NAME, "namespace": key.name, "annotations": {_DESCRIBES: _DESCRIPTION}}
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
            return Plan((Create(CONFIG_MAP, made),))
        if found.get("data") != data or not annotations_of(found).get(_DESCRIBES):
            gone = {name: None for name in found.get("data") or {}}
            described = {"metadata": {"annotations": {_DESCRIBES: _DESCRIPTION}}}
            return Plan((Patch(CONFIG_MAP, Key(key.name, NAME), {**described, "data": {**gone, **data}}),))
        return NOTHING

    return Controller(
        "root-ca-certificate-publisher",
        (Watch(NAMESPACE, itself), Watch(CONFIG_MAP, _of_namespace)),
        plan,
        synced=_synced,
        metrics=told_of(_LOOKS, _SECONDS),
    )


def _synced(done: Synced, view: View) -> None:
    code = 200 if done.failed is None else done.failed.code if isinstance(done.failed, ApiError) else 500
    _LOOKS.add(str(code))
    _SECONDS.observe(done.seconds, str(code))


def _of_namespace(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key.name == NAME:
        yield Key("", entry.key.namespace)
