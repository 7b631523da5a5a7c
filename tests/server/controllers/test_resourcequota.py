"""What the controller writes of a quota's use, and when it looks again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.deviceclass import KIND as CLASS
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.kinds.resourcequota import KIND as QUOTA
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import resourcequota
from pylet.server.reconcile.plan import Patch

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = Key("a", "q")


class Cluster:
    def __init__(self, **hard: str) -> None:
        self.tables = {kind: Table(kind) for kind in (QUOTA, POD, CONFIG_MAP, CLAIM, CLASS)}
        self.view = View(self.tables)
        self.controller = resourcequota.controller(self.tables)
        self.hard = {name.replace("__", "/").replace("_", "."): amount for name, amount in hard.items()}
        self.put(QUOTA, {"metadata": {"namespace": "a", "name": "q"}, "spec": {"hard": self.hard}})

    def put(self, kind: Any, obj: Object) -> None:
        self.tables[kind].put(Entry.of(kind, obj))

    def used(self, now: datetime = NOW) -> Object:
        (patch,) = self.controller.plan(KEY, self.view, now).actions
        assert isinstance(patch, Patch)
        assert patch.patch["status"]["hard"] == self.hard
        used: Object = patch.patch["status"]["used"]
        return used


def pod(name: str, **meta: Any) -> Object:
    resources = {"requests": {"cpu": "250m", "memory": "64Mi", "gpu.test/big": "2"}}
    spec = {"containers": [{"name": "c", "resources": resources}]}
    return {"metadata": {"namespace": "a", "name": name, "uid": name, **meta}, "spec": spec, "status": {}}


def test_use_follows_the_tables() -> None:
    cluster = Cluster(pods="5", requests_cpu="1", memory="1Gi", count__configmaps="3")
    assert cluster.used() == {"pods": "0", "requests.cpu": "0", "memory": "0", "count/configmaps": "0"}
    cluster.put(POD, pod("p1"))
    cluster.put(POD, pod("p2"))
    cluster.put(CONFIG_MAP, {"metadata": {"namespace": "a", "name": "c"}})
    cluster.put(CONFIG_MAP, {"metadata": {"namespace": "b", "name": "c"}})
    assert cluster.used() == {"pods": "2", "requests.cpu": "500m", "memory": "128Mi", "count/configmaps": "1"}
    cluster.put(POD, pod("p2") | {"status": {"phase": "Failed"}})
    cluster.tables[CONFIG_MAP].remove(Key("a", "c"))
    assert cluster.used() == {"pods": "1", "requests.cpu": "250m", "memory": "64Mi", "count/configmaps": "0"}


def test_a_pod_that_should_be_gone_does_not_count() -> None:
    cluster = Cluster(pods="5", count__pods="5")
    cluster.put(POD, pod("p", deletionTimestamp="2026-01-01T12:00:30Z", deletionGracePeriodSeconds=30))
    assert cluster.used() == {"pods": "1", "count/pods": "1"}
    assert cluster.controller.plan(KEY, cluster.view, NOW).again_after == timedelta(seconds=61)
    assert cluster.used(NOW + timedelta(seconds=61)) == {"pods": "0", "count/pods": "1"}


def test_what_is_settled_is_left_alone() -> None:
    cluster = Cluster(pods="5")
    status = {"hard": {"pods": "5"}, "used": {"pods": "0"}}
    cluster.put(QUOTA, {"metadata": {"namespace": "a", "name": "q"}, "spec": {"hard": {"pods": "5"}}, "status": status})
    assert not cluster.controller.plan(KEY, cluster.view, NOW).actions
    cluster.tables[QUOTA].remove(KEY)
    assert not cluster.controller.plan(KEY, cluster.view, NOW).actions


def test_only_what_quotas_may_count_concerns_them() -> None:
    cluster = Cluster(pods="5")
    entry = Entry.of(CONFIG_MAP, {"metadata": {"namespace": "a", "name": "c"}})
    watches = {watch.kind: watch.keys for watch in cluster.controller.watches}
    assert not list(watches[CONFIG_MAP](entry, cluster.view))
    assert list(watches[POD](Entry.of(POD, pod("p")), cluster.view)) == [KEY]


def claim(name: str, count: int, *, owner: str = "") -> Object:
    meta: Object = {"namespace": "a", "name": name, "creationTimestamp": "2026-01-01T11:00:00Z"}
    if owner:
        meta["annotations"] = {"resource.kubernetes.io/extended-resource-claim": "true"}
        meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": owner, "controller": True}]
    asked = {"deviceClassName": "big", "allocationMode": "ExactCount", "count": count}
    return {"metadata": meta, "spec": {"devices": {"requests": [{"name": "r", "exactly": asked}]}}}


def test_claims_count_for_the_resource_that_their_class_stands_for() -> None:
    named, of_class = "requests.gpu.test/big", "requests.deviceclass.resource.kubernetes.io/big"
    cluster = Cluster(**{named.replace("/", "__").replace(".", "_"): "9", of_class.replace("/", "__"): "9"})
    cluster.put(CLAIM, claim("mine", 2))
    assert cluster.used() == {named: "0", of_class: "0"}  # no class says so yet
    cluster.put(CLASS, {"metadata": {"name": "big"}, "spec": {"extendedResourceName": "gpu.test/big"}})
    assert cluster.used() == {named: "2", of_class: "2"}
    cluster.put(POD, pod("p"))
    cluster.put(CLAIM, claim("p-made", 3, owner="p"))
    assert cluster.used() == {named: "5", of_class: "5"}  # of its three two are what the pod asks for
    cluster.put(CLAIM, claim("p-more", 1, owner="p"))
    assert cluster.used() == {named: "6", of_class: "6"}  # a second one is somebody else's
    cluster.put(POD, pod("p") | {"status": {"extendedResourceClaimStatus": {"resourceClaimName": "p-more"}}})
    assert cluster.used() == {named: "7", of_class: "6"}
