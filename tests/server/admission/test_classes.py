"""What classes bring: of storage, of ingresses, of runtimes; and what a node brings to its pods."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object
from tests.server.kit import Api, pod, refused


def class_of(kind: str, name: str, *, is_default: bool = False, **fields: Any) -> Object:
    group, prefix = (
        ("storage.k8s.io", "storageclass") if kind == "StorageClass" else ("networking.k8s.io", "ingressclass")
    )
    annotations = {f"{prefix}.kubernetes.io/is-default-class": "true"} if is_default else {}
    meta = {"name": name, "annotations": annotations}
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": meta, **fields}


def claim(**spec: Any) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    meta = {"name": "c", "namespace": "a"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


@pytest.mark.parametrize(
    ("given", "found"), [({}, "fast"), ({"storageClassName": ""}, ""), ({"storageClassName": "slow"}, "slow")], ids=str
)
async def test_claims_get_the_default_class(api: Api, given: Object, found: str) -> None:
    for name, is_default in (("fast", True), ("slow", False)):
        await api.create(class_of("StorageClass", name, is_default=is_default, provisioner="p"))
    assert (await api.create(claim(**given)))["spec"]["storageClassName"] == found


@pytest.mark.parametrize(
    ("grows", "says"),
    [
        (
            False,
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
            "support resize",
        ),
        (True, ""),
    ],
)
async def test_claims_grow_where_they_may(api: Api, grows: bool, says: str) -> None:
    await api.create(class_of("StorageClass", "fast", provisioner="p", allowVolumeExpansion=grows))
    made = await api.create(claim(storageClassName="fast", volumeName="v"))
    await api.update(made | {"status": {"phase": "Bound"}}, subresource="status")
    growing = api.patch(CLAIM, "a", "c", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
    if says:
        assert (await refused(growing))["message"] == f'persistentvolumeclaims "c" is forbidden: {says}'
    else:
        await growing


async def test_ingresses_get_the_default_class(api: Api) -> None:
    await api.create(class_of("IngressClass", "front", is_default=True, spec={"controller": "x.test/y"}))
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    meta = {"name": "i", "namespace": "a"}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta}
    made = await api.create(ingress | {"spec": {"defaultBackend": backend}})
    assert made["spec"]["ingressClassName"] == "front"


def runtime_class(**fields: Any) -> Object:
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "vm"},
        "handler": "vm",
        **fields,
    }


async def test_runtime_classes_bring_overhead_and_nodes(api: Api) -> None:
    toleration = {"key": "vm", "operator": "Exists", "effect": "NoSchedule"}
    await api.create(
        runtime_class(
            overhead={"podFixed": {"cpu": "250m"}},
            scheduling={"nodeSelector": {"vm": "yes"}, "tolerations": [toleration]},
        )
    )
    spec = (await api.create(pod("p", runtimeClassName="vm", nodeSelector={"disk": "ssd"})))["spec"]
    assert spec["overhead"] == {"cpu": "250m"}
    assert spec["nodeSelector"] == {"disk": "ssd", "vm": "yes"}
    assert toleration in spec["tolerations"]
    status = await refused(api.create(pod("q", runtimeClassName="vm", nodeSelector={"vm": "no"})))
    assert status["message"] == (
        'pods "q" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; '
        "pod.spec.nodeSelector[vm] = no"
    )


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"runtimeClassName": "none"}, 'pod rejected: RuntimeClass "none" not found'),
        (
            {"overhead": {"cpu": "1"}},
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            {"runtimeClassName": "vm", "overhead": {"cpu": "1"}},
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
    ],
    ids=["unknown", "alone", "other"],
)
async def test_overhead_is_the_class_s(api: Api, spec: Object, says: str) -> None:
    await api.create(runtime_class(overhead={"podFixed": {"cpu": "250m"}}))
    assert (await refused(api.create(pod("p", **spec))))["message"] == f'pods "p" is forbidden: {says}'


async def test_pods_bear_their_node_s_zone(api: Api) -> None:
    zone = {"topology.kubernetes.io/zone": "z"}
    labels = zone | {"other": "label"}
    await api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}, "spec": {}})
    assert (await api.create(pod("here", nodeName="n1")))["metadata"]["labels"] == zone
    await api.create(pod("p"))
    target = {"kind": "Node", "name": "n1"}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p", "namespace": "a"}, "target": target}
    await api.create(binding, name="p", subresource="binding")
    assert (await api.get(POD, "a", "p"))["metadata"]["labels"] == zone


async def test_a_resize_fits_the_node(api: Api) -> None:
    node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {}}
    made = await api.create(node)
    await api.update(made | {"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}}, subresource="status")
    sized = {"name": "c", "image": "registry.test/c:1", "resources": {"requests": {"cpu": "1"}}}
    running = await api.create(pod("p", nodeName="n1", containers=[sized]))
    running["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "3"
    status = await refused(api.update(running, subresource="resize"))
    assert status["message"] == (
        'pods "p" is forbidden: node didn\'t have enough allocatable resources: cpu, requested: 3000, allocatable: 2000'
    )
    assert status["details"]["causes"] == [{"reason": "NodeCapacity"}]


async def test_a_node_says_what_it_can_follow(api: Api) -> None:
    made = await api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {}})
    status = {"allocatable": {"cpu": "8", "memory": "8Gi"}}
    made = await api.update(made | {"status": status}, subresource="status")
    resources = {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}
    running = await api.create(pod("p", nodeName="n1", resources=resources))
    running["spec"]["resources"] = {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}
    feature = "InPlacePodLevelResourcesVerticalScaling"
    assert (await refused(api.update(running, subresource="resize")))["message"] == (
        f'pods "p" is forbidden: pod update requires features {feature} which are not available on node "n1"'
    )
    await api.update(made | {"status": status | {"declaredFeatures": [feature]}}, subresource="status")
    del running["metadata"]["resourceVersion"]
    assert await api.update(running, subresource="resize")
