"""Which addresses an Ingress is given: those of ready nodes that serve."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.ingress import KIND as INGRESS
from pylet.api.object import Key, Object
from pylet.server.controllers import ingress
from pylet.server.reconcile.plan import Patch
from tests.server.controllers.picture import NOW, obj, view

CLASS = obj("networking.k8s.io/v1", "IngressClass", "pylet", namespace="", spec={"controller": "pylet.io/ingress"})


def _node(name: str, address: str, *, ready: bool = True, serves: bool = True, outside: str = "") -> Object:
    addresses = [{"type": "InternalIP", "address": address}]
    addresses += [{"type": "ExternalIP", "address": outside}] if outside else []
    status = {"conditions": [{"type": "Ready", "status": str(ready)}], "addresses": addresses}
    notes = {"pylet.io/ingress": "true"} if serves else {}
    return obj("v1", "Node", name, namespace="", meta={"annotations": notes}, spec={}, status=status)


def _given(of_class: str, *nodes: Object, before: Any = ()) -> list[str] | None:
    status = {"loadBalancer": {"ingress": [{"ip": address} for address in before]}}
    one = obj("networking.k8s.io/v1", "Ingress", "web", spec={"ingressClassName": of_class}, status=status)
    for action in ingress.plan(Key("default", "web"), view(CLASS, one, *nodes), NOW).actions:
        assert isinstance(action, Patch)
        assert action.kind is INGRESS
        return [item["ip"] for item in action.patch["status"]["loadBalancer"].get("ingress") or ()]
    return None


@pytest.mark.parametrize(
    ("nodes", "addresses"),
    [
        ([_node("b", "10.0.0.2"), _node("a", "10.0.0.1")], ["10.0.0.1", "10.0.0.2"]),
        ([_node("a", "10.0.0.1", ready=False), _node("b", "10.0.0.2")], ["10.0.0.2"]),
        ([_node("a", "10.0.0.1", serves=False), _node("b", "10.0.0.2")], ["10.0.0.2"]),
        ([_node("a", "10.0.0.1", outside="198.51.100.1")], ["198.51.100.1"]),
    ],
    ids=["all that serve", "not one that is not ready", "not one without a proxy", "outside, where it says so"],
)
def test_it_is_reached_at(nodes: list[Object], addresses: list[str]) -> None:
    assert _given("pylet", *nodes) == addresses


def test_nothing_is_written_that_is_so_or_somebody_elses() -> None:
    assert _given("pylet", _node("a", "10.0.0.1"), before=["10.0.0.1"]) is None
    assert _given("other", _node("a", "10.0.0.1")) is None


def test_addresses_go_with_the_last_node() -> None:
    assert _given("pylet", _node("a", "10.0.0.1", ready=False), before=["10.0.0.1"]) == []
