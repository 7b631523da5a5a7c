"""ServiceCIDRs and IPAddresses: what is planned for a picture of the cluster."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from pylet.api.kinds.ipaddress import ALLOCATOR, FAMILY_LABEL, MANAGED_LABEL
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.kinds.servicecidr import FINALIZER
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.controllers import ipaddress, servicecidr
from pylet.server.reconcile.plan import NOTHING, Create, Delete, Emit, Patch, Plan
from tests.server.controllers.picture import EARLIER, NOW, obj, view

READY = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}


def service(name: str, *ips: str) -> Object:
    return obj("v1", "Service", name, "a", spec={"clusterIP": ips[0], "clusterIPs": list(ips)})


def address(ip: str, parent: str = "s", *, managed: bool = True) -> Object:
    labels = {FAMILY_LABEL: "IPv4", MANAGED_LABEL: ALLOCATOR} if managed else {}
    reference = {"resource": "services", "namespace": "a", "name": parent}
    return obj("networking.k8s.io/v1", "IPAddress", ip, "", meta={"labels": labels}, spec={"parentRef": reference})


def cidr(name: str, *cidrs: str, deleted: datetime | None = None, **meta: Any) -> Object:
    meta = {"finalizers": [FINALIZER], **meta}
    if deleted is not None:
        meta["deletionTimestamp"] = deleted.strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"conditions": [{**READY, "lastTransitionTime": EARLIER}]}
    return obj("networking.k8s.io/v1", "ServiceCIDR", name, "", meta=meta, spec={"cidrs": list(cidrs)}, status=status)


def plan_ip(ip: str, *objects: Object) -> Plan:
    return ipaddress.CONTROLLER.plan(Key("", ip), view(*objects), NOW)


def plan_cidr(name: str, *objects: Object) -> Plan:
    return servicecidr.CONTROLLER.plan(Key("", name), view(*objects), NOW)


def test_a_service_s_addresses_are_shown() -> None:
    for ip, family in (("10.43.0.9", "IPv4"), ("fd00::9", "IPv6")):
        (made,) = plan_ip(ip, service("s", "10.43.0.9", "fd00::9")).actions
        assert isinstance(made, Create)
        assert made.object["metadata"]["labels"][FAMILY_LABEL] == family
        assert made.object["spec"]["parentRef"] == {"resource": "services", "namespace": "a", "name": "s"}


def test_what_is_shown_stays() -> None:
    assert plan_ip("10.43.0.9", service("s", "10.43.0.9"), address("10.43.0.9")) == NOTHING


def test_an_address_goes_with_its_service() -> None:
    assert [type(action) for action in plan_ip("10.43.0.9", address("10.43.0.9")).actions] == [Delete]


def test_an_address_that_changed_hands_is_shown_anew() -> None:
    plan = plan_ip("10.43.0.9", service("t", "10.43.0.9"), address("10.43.0.9", "s"))
    assert [type(action) for action in plan.actions] == [Delete, Create]


def test_an_address_that_somebody_deleted_is_put_back_and_told_of() -> None:
    watch, _ = ipaddress.CONTROLLER.watches
    there = address("10.43.0.9")
    entry = Entry.of(watch.kind, there)
    assert list(watch.keys(entry, view(there))) == [Key("", "10.43.0.9")]
    (lost,) = watch.keys(entry, view())
    told, made = ipaddress.CONTROLLER.plan(lost, view(service("s", "10.43.0.9")), NOW).actions
    assert isinstance(told, Emit)
    assert told.message == "Cluster IP [IPv4]: 10.43.0.9 is not allocated; repairing"
    assert isinstance(made, Create)
    assert ipaddress.CONTROLLER.plan(lost, view(), NOW) == NOTHING


def test_an_address_of_somebody_else_is_left_alone() -> None:
    assert plan_ip("10.43.0.9", address("10.43.0.9", managed=False)) == NOTHING


def test_both_controllers_are_told_of_addresses_a_service_had_or_has() -> None:
    (_, watch) = ipaddress.CONTROLLER.watches
    entry = Entry.of(SERVICE, service("s", "10.43.0.9", "fd00::9"))
    assert list(watch.keys(entry, view())) == [Key("", "10.43.0.9"), Key("", "fd00::9")]


def test_a_new_range_is_kept_and_said_to_be_ready() -> None:
    fresh = cidr("c", "10.44.0.0/24", finalizers=[])
    del fresh["status"]
    kept, ready = plan_cidr("c", fresh).actions
    assert isinstance(kept, Patch)
    assert kept.patch == {"metadata": {"finalizers": [FINALIZER]}}
    assert isinstance(ready, Patch)
    assert ready.patch["status"]["conditions"][0]["status"] == "True"


def test_a_ready_range_is_settled() -> None:
    assert plan_cidr("c", cidr("c", "10.44.0.0/24")) == NOTHING


def test_an_unused_range_goes_after_a_while() -> None:
    assert plan_cidr("c", cidr("c", "10.44.0.0/24", deleted=NOW)).again_after == timedelta(seconds=10)
    gone = plan_cidr("c", cidr("c", "10.44.0.0/24", deleted=NOW - timedelta(seconds=10)))
    assert [action.patch for action in gone.actions if isinstance(action, Patch)] == [{"metadata": {"finalizers": []}}]


def test_a_range_in_use_waits_and_says_so() -> None:
    used = cidr("c", "10.44.0.0/24", deleted=NOW - timedelta(seconds=10))
    (told,) = plan_cidr("c", used, address("10.44.0.7")).actions
    assert isinstance(told, Patch)
    assert told.patch["status"]["conditions"][0]["reason"] == "Terminating"


def test_a_range_in_use_goes_where_another_contains_it() -> None:
    used = cidr("c", "10.44.0.0/24", deleted=NOW - timedelta(seconds=10))
    plan = plan_cidr("c", used, cidr("d", "10.44.0.0/16"), address("10.44.0.7"))
    assert [action.subresource for action in plan.actions if isinstance(action, Patch)] == [""]


@pytest.mark.parametrize("other", ["10.44.0.0/25", "10.45.0.0/16", "fd00::/64"])
def test_a_range_in_use_stays_where_no_other_has_the_address(other: str) -> None:
    used = cidr("c", "10.44.0.0/24", deleted=NOW - timedelta(seconds=10))
    (told,) = plan_cidr("c", used, cidr("d", other), address("10.44.0.200")).actions
    assert isinstance(told, Patch)
    assert told.subresource == "status"


def test_every_range_is_looked_at_when_one_changes() -> None:
    watch, _ = servicecidr.CONTROLLER.watches
    ranges = [cidr(name, "10.44.0.0/24") for name in ("c", "d")]
    assert list(watch.keys(Entry.of(watch.kind, ranges[1]), view(*ranges))) == [Key("", "d"), Key("", "c")]
