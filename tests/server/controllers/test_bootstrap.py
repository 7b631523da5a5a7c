"""What every cluster has comes back when somebody deletes it, and is put right."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from pylet.api import kinds, schema
from pylet.api.clustersettings import ClusterSettings
from pylet.api.object import Key, Object, key_of
from pylet.server import addons
from pylet.server.controllers import bootstrap
from pylet.server.reconcile.plan import Action, Create, Delete, Emit, Patch
from tests.server.controllers.picture import NOW, STORED, view

OBJECTS = [
    obj
    for obj in (*addons.namespaces(), *addons.objects(ClusterSettings(), advertise_address="192.0.2.1", port=6443))
    if obj["kind"] in addons.KEPT
]
CONTROLLER = bootstrap.controller(OBJECTS)
KUBERNETES = Key("default", "kubernetes")


def stored(obj: Object) -> Object:
    """As a server keeps it."""
    found = deepcopy(obj)
    found["metadata"] |= {
        "uid": "u",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": "2026-01-01T11:00:00Z",
    }
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = kinds.by_kind(group, version, obj["kind"])
    assert kind is not None
    schema.default(kind.definition, found)
    return found


def actions(key: Key, *objects: Object) -> tuple[Action, ...]:
    return CONTROLLER.plan(key, view(*objects), NOW).actions


def one(kind: str, name: str = "kubernetes", **changes: Any) -> Object:
    (found,) = (stored(obj) for obj in OBJECTS if (obj["kind"], obj["metadata"]["name"]) == (kind, name))
    return found | changes


def test_a_settled_cluster_is_left_alone() -> None:
    every = [stored(obj) for obj in OBJECTS]
    assert [action for obj in every for action in actions(key_of(obj), *every)] == []


@pytest.mark.parametrize("kind", sorted(addons.KEPT))
def test_what_is_missing_is_made(kind: str) -> None:
    every = [stored(obj) for obj in OBJECTS]
    for gone in (obj for obj in every if obj["kind"] == kind):
        (made,) = actions(key_of(gone), *(obj for obj in every if obj is not gone))
        assert isinstance(made, Create)
        assert (made.kind.name, key_of(made.object)) == (kind, key_of(gone))


def test_what_leads_to_the_server_is_put_right() -> None:
    slice_ = one("EndpointSlice", endpoints=[])
    (patch,) = actions(KUBERNETES, one("Service"), one("Endpoints"), slice_)
    assert isinstance(patch, Patch)
    assert patch.patch["endpoints"] == [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}]


def test_addresses_of_another_family_go_first() -> None:
    other = one("EndpointSlice", addressType="IPv6", endpoints=[])
    (delete,) = actions(KUBERNETES, one("Service"), one("Endpoints"), other)
    assert isinstance(delete, Delete)
    assert (delete.kind.name, delete.uid) == ("EndpointSlice", "u")


def test_what_is_on_its_way_out_is_waited_for() -> None:
    going = one("ServiceCIDR", spec={"cidrs": ["10.99.0.0/16"]})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T11:00:00Z"
    assert actions(Key("", "kubernetes"), going) == ()


def test_networks_that_are_not_those_asked_for_are_told_of() -> None:
    other = one("ServiceCIDR", spec={"cidrs": ["10.99.0.0/16", "fd43::/112"]})
    (told,) = actions(Key("", "kubernetes"), other)
    assert isinstance(told, Emit)
    assert (told.type, told.reason) == ("Warning", "KubernetesDefaultServiceCIDRInconsistent")
    assert "[10.99.0.0/16 fd43::/112] does not match" in told.message


def test_a_change_concerns_what_is_kept_alone() -> None:
    every = view(*(stored(obj) for obj in OBJECTS), one("Endpoints", metadata={"name": "kubernetes", "namespace": "a"}))
    concerned = [
        key
        for watch in CONTROLLER.watches
        for entry in every.table(watch.kind).entries.values()
        for key in watch.keys(entry, every)
    ]
    assert sorted(concerned) == sorted(key_of(obj) for obj in OBJECTS)
    assert all(watch.kind in STORED for watch in CONTROLLER.watches)
