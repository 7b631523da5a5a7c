from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Object
from pylet.server.scheduler import volumes
from pylet.server.scheduler.volumes import Binding
from tests.server.scheduler.kit import HOST, ZONE, node, placed, pod, snapshot_of

BOUND = {"pv.kubernetes.io/bind-completed": "yes"}
NODES = [node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "y"})]
CINDER = "cinder.csi.openstack.org"
FULL = "2 node(s) exceed max volume count"
USELESS_MATCH = "node(s) didn't find available persistent volumes to bind"


def claim(name: str = "data", *, volume: str = "", size: str = "1Gi", class_: str = "", **meta: Any) -> Object:
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    spec |= {"storageClassName": class_} | ({"volumeName": volume} if volume else {})
    annotations = {**(BOUND if volume else {}), **meta.pop("annotations", {})}
    meta = {"name": name, "namespace": "default", "annotations": annotations, **meta}
    status = {"phase": "Bound" if volume else "Pending"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec, "status": status}


def volume(name: str = "disk", *, on: str = "", labels: Any = None, class_: str = "", **spec: Any) -> Object:
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class_, **spec}
    if on:
        expression = {"key": HOST, "operator": "In", "values": [on]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    meta = {"name": name, "labels": labels or {}}
    found = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec}
    return {**found, "status": {"phase": "Available"}}


def storage_class(provisioner: str = "example.com/disk", mode: str = "WaitForFirstConsumer", **more: Any) -> Object:
    found = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "late"}}
    return {**found, "provisioner": provisioner, "volumeBindingMode": mode, **more}


def csi_node(name: str, count: int, driver: str = "example.com/disk") -> Object:
    drivers = [{"name": driver, "nodeID": name, "allocatable": {"count": count}}]
    meta = {"name": name}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": meta, "spec": {"drivers": drivers}}


def csi_driver() -> Object:
    meta = {"name": "example.com/disk"}
    spec = {"storageCapacity": True}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": meta, "spec": spec}


def capacity(zone: str, size: str) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIStorageCapacity",
        "metadata": {"name": zone, "namespace": "kube-system"},
        "storageClassName": "late",
        "capacity": size,
        "nodeTopology": {"matchLabels": {ZONE: zone}},
    }


def user(*claims: str, **asked: Any) -> Any:
    mounted = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims or ("data",)]
    return pod(volumes=mounted, **asked)


def csi(handle: str) -> Object:
    return {"csi": {"driver": "example.com/disk", "volumeHandle": handle}}


ZONES = [{"matchLabelExpressions": [{"key": ZONE, "values": ["y"]}]}]


@pytest.mark.parametrize(
    ("wanted", "objects", "running", "expected"),
    [
        pytest.param(user(), [], {}, 'persistentvolumeclaim "data" not found', id="no such claim"),
        pytest.param(
            user(),
            [claim()],
            {},
            "pod has unbound immediate PersistentVolumeClaims",
            id="a claim not bound",
        ),
        pytest.param(
            user(),
            [claim(volume="disk") | {"status": {"phase": "Pending"}}, volume()],
            {},
            "pod has unbound immediate PersistentVolumeClaims",
            id="a claim whose status does not say yet that it is bound",
        ),
        pytest.param(
            user(),
            [claim(volume="disk", deletionTimestamp="2026-01-01T00:00:00Z"), volume()],
            {},
            'persistentvolumeclaim "data" is being deleted',
            id="a claim on its way out",
        ),
        pytest.param(user(), [claim(volume="disk"), volume(on="b")], {}, "b", id="where its volume is"),
        pytest.param(
            user(nodeSelector={HOST: "a"}),
            [claim(volume="disk"), volume(on="b")],
            {},
            "1 node(s) didn't match PersistentVolume's node affinity, "
            "1 node(s) didn't match Pod's node affinity/selector",
            id="not where its volume is not",
        ),
        pytest.param(
            user(),
            [claim(class_="late"), storage_class(), volume(on="b", class_="late")],
            {},
            "a",
            id="anywhere when it can be provisioned",
        ),
        pytest.param(
            user(),
            [claim(class_="late"), storage_class("kubernetes.io/no-provisioner"), volume(on="b", class_="late")],
            {},
            "b",
            id="where a free volume is",
        ),
        pytest.param(
            user("data", "more"),
            [
                claim(class_="late"),
                claim("more", class_="late"),
                storage_class("kubernetes.io/no-provisioner"),
                volume(on="b", class_="late"),
            ],
            {},
            f"2 {USELESS_MATCH}",
            id="one volume does not serve two claims",
        ),
        pytest.param(
            user(), [claim(class_="late"), storage_class(allowedTopologies=ZONES)], {}, "b", id="where its class may"
        ),
        pytest.param(
            user(),
            [
                claim(class_="late", annotations={"volume.kubernetes.io/selected-node": "b"}),
                storage_class(),
            ],
            {},
            "b",
            id="where it is being provisioned",
        ),
        pytest.param(
            user(),
            [claim(class_="late"), storage_class(), csi_driver(), capacity("x", "512Mi"), capacity("y", "2Gi")],
            {},
            "b",
            id="where there is room for it",
        ),
        pytest.param(
            user(),
            [claim(class_="late"), storage_class(), csi_driver(), capacity("x", "512Mi")],
            {},
            "2 node(s) did not have enough free storage",
            id="nowhere without room",
        ),
        pytest.param(
            user(), [claim(volume="disk"), volume(labels={ZONE: "y__z"})], {}, "b", id="in the zone of its volume"
        ),
        pytest.param(
            user(),
            [claim(volume="disk"), volume(labels={ZONE: "z"})],
            {},
            "2 node(s) had no available volume zone",
            id="no node in the zone of its volume",
        ),
        pytest.param(
            user(),
            [
                claim(volume="disk"),
                volume(**csi("1")),
                claim("other", volume="o"),
                volume("o", **csi("2")),
                csi_node("a", 1),
            ],
            {"a": [user("other", cpu="0")]},
            "b",
            id="where its driver can attach one more",
        ),
        pytest.param(
            user(),
            [claim(volume="disk"), volume(**csi("1")), csi_node("a", 1), csi_node("b", 0)],
            {"a": [pod("beside", cpu="0", volumes=user().spec["volumes"])]},
            "a",
            id="what is attached already does not count twice",
        ),
        pytest.param(
            user(),
            [
                claim(volume="disk"),
                volume(cinder={"volumeID": "1"}),
                claim("other", volume="o"),
                volume("o", csi={"driver": CINDER, "volumeHandle": "2"}),
                csi_node("a", 1, CINDER),
                csi_node("b", 0, CINDER),
            ],
            {"a": [user("other", cpu="0")]},
            FULL,
            id="nowhere where the driver that took the place of its plugin is full",
        ),
        pytest.param(
            pod(volumes=[{"name": "v", "cinder": {"volumeID": "1"}}]),
            [
                claim(class_="late"),
                storage_class("kubernetes.io/cinder"),
                csi_node("a", 1, CINDER),
                csi_node("b", 0, CINDER),
            ],
            {"a": [user(cpu="0")]},
            FULL,
            id="nor without a claim, nor beside one yet to be provisioned",
        ),
    ],
)
def test_a_pod_with_claims_goes(wanted: Any, objects: list[Any], running: Any, expected: str) -> None:
    for number, others in enumerate(running.values()):
        for other in others:
            other.uid = f"uid-other-{number}"
    found = placed(wanted, *NODES, running=running, objects=objects)
    assert found == expected or found == f"0/2 nodes are available: {expected}."


def test_a_claim_for_one_pod_only_serves_one() -> None:
    alone = claim(volume="disk")
    alone["spec"]["accessModes"] = ["ReadWriteOncePod"]
    first = pod("first", cpu="0", volumes=user().spec["volumes"])
    assert placed(user(), *NODES, running={"a": [first]}, objects=[alone, volume()]) == (
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
        "already in-use by another pod."
    )


@pytest.mark.parametrize(("read_only", "expected"), [(False, "b"), (True, "a")])
def test_a_disk_is_shared_only_by_readers(read_only: bool, expected: str) -> None:
    disk = [{"name": "v", "gcePersistentDisk": {"pdName": "d", "readOnly": read_only}}]
    beside = pod("first", cpu="0", volumes=disk)
    assert (
        placed(pod(volumes=disk, nodeSelector={}), node("a", cpu="64"), node("b"), running={"a": [beside]}) == expected
    )


def test_what_a_pod_on_its_way_gets_is_gone_for_others() -> None:
    objects = [
        claim(class_="late"),
        claim("other", class_="late"),
        storage_class("kubernetes.io/no-provisioner"),
        volume(on="b", class_="late"),
    ]
    snapshot = snapshot_of(NODES, objects=objects)
    view, assumed = snapshot.view, snapshot.assumed

    def planned(name: str) -> Any:
        claims = volumes.claims_of(user(name), view)
        assert claims is not None
        found = volumes.candidates(claims, view, assumed)
        return volumes.plan(claims, found, snapshot.nodes["b"], view, assumed)

    binding = planned("data")
    assert isinstance(binding, Binding)
    binding = volumes.assume(binding, assumed)
    assert binding.volumes[0][0]["spec"]["claimRef"]["name"] == "data"
    assert planned("other") == (USELESS_MATCH,)
    volumes.forget(binding, assumed)
    assert isinstance(planned("other"), Binding)
