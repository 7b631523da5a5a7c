"""What fits into a quota, and what is refused in which words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pylet.api.errors import ApiError, Forbidden
from pylet.api.kinds.deviceclass import KIND as DEVICE_CLASS
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourcequota import KIND as QUOTA
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Object
from pylet.server.admission import CHAIN, resource_quota
from pylet.server.registry import User
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import Api, configmap, pod, refused, running, service


def quota(name: str = "q", scopes: list[str] | None = None, **hard: str) -> Object:
    """Resources' names have `__` for `/` and `_` for `.`."""
    spec: Object = {"hard": {n.replace("__", "/").replace("_", "."): amount for n, amount in hard.items()}}
    if scopes:
        spec["scopes"] = scopes
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "a"}, "spec": spec}


def asking(name: str, limits: dict[str, str] | None = None, **requests: str) -> Object:
    resources = {"requests": requests, **({"limits": limits} if limits else {})}
    return pod(name, containers=[{"name": "c", "image": "registry.test/c:1", "resources": resources}])


async def test_exactly_as_many_as_there_is_room_for(api: Api) -> None:
    await api.create(quota(pods="10"))
    results = await asyncio.gather(*(api.create(pod(f"p{n}")) for n in range(50)), return_exceptions=True)
    assert sum(1 for result in results if isinstance(result, dict)) == 10
    assert all(isinstance(result, dict | Forbidden) for result in results)
    await api.delete(POD, "a", (await api.names(POD, "a"))[0], grace_seconds=0)
    assert await api.create(pod("after"))
    assert (await refused(api.create(pod("more"))))["code"] == 403


async def test_the_refusal_names_what_is_short(api: Api) -> None:
    await api.create(quota(requests_cpu="1", requests_memory="1Gi", pods="5"))
    await api.create(asking("p1", cpu="600m", memory="100Mi"))
    status = await refused(api.create(asking("p2", cpu="600m", memory="100Mi")))
    assert status["message"] == (
        'pods "p2" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, '
        "limited: requests.cpu=1"
    )
    assert status["reason"] == "Forbidden"


async def test_what_quotas_count_must_be_said(api: Api) -> None:
    await api.create(quota(limits_cpu="1", requests_memory="1Gi"))
    status = await refused(api.create(pod("p")))
    assert status["message"] == (
        'pods "p" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.memory for: c'
    )


@pytest.mark.parametrize(
    ("scope", "counted", "free"),
    [
        ("BestEffort", pod("p"), asking("p", cpu="1m")),
        ("NotBestEffort", asking("p", cpu="1m"), pod("p")),
        ("Terminating", pod("p", activeDeadlineSeconds=5), pod("p")),
        ("NotTerminating", pod("p"), pod("p", activeDeadlineSeconds=5)),
        (
            "CrossNamespacePodAffinity",
            pod(
                "p",
                affinity={
                    "podAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"topologyKey": "zone", "labelSelector": {}, "namespaces": ["b"]}
                        ]
                    }
                },
            ),
            pod("p"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_scopes_choose_pods(api: Api, scope: str, counted: Object, free: Object) -> None:
    await api.create(quota(scopes=[scope], pods="0"))
    assert (
        "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"
        in ((await refused(api.create(counted)))["message"])
    )
    assert await api.create(free)


async def test_priority_classes_are_selected(api: Api) -> None:
    for name in ("high", "low"):
        await api.create(
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1}
        )
    term = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
    limited = quota(pods="0")
    limited["spec"]["scopeSelector"] = {"matchExpressions": [term]}
    await api.create(limited)
    assert (await refused(api.create(pod("p", priorityClassName="high"))))["reason"] == "Forbidden"
    assert await api.create(pod("p", priorityClassName="low"))


async def test_a_finished_pod_counts_as_an_object_only(api: Api) -> None:
    await api.create(quota(pods="1", count__pods="2"))
    made = await api.create(pod("p1"))
    await api.update(made | {"status": {"phase": "Succeeded"}}, subresource="status")
    assert await api.create(pod("p2"))
    assert "requested: count/pods=1,pods=1" in (await refused(api.create(pod("p3"))))["message"]


@pytest.mark.parametrize(
    ("hard", "objects"),
    [
        ({"count__configmaps": "1"}, [configmap("x"), configmap("y")]),
        ({"configmaps": "1"}, [configmap("x"), configmap("y")]),
        ({"services": "1"}, [service("x"), service("y")]),
        ({"services_nodeports": "1"}, [service("x"), service("y", type="NodePort"), service("z", type="NodePort")]),
        ({"services_loadbalancers": "0"}, [service("x"), service("y", type="LoadBalancer")]),
    ],
    ids=str,
)
async def test_objects_are_counted(api: Api, hard: Any, objects: list[Object]) -> None:
    await api.create(quota(**hard))
    for fits in objects[:-1]:
        await api.create(fits)
    assert "exceeded quota: q" in (await refused(api.create(objects[-1])))["message"]


async def test_an_update_is_charged_for_what_it_adds(api: Api) -> None:
    await api.create(quota(services_nodeports="1"))
    made = await api.create(service("s"))
    two = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    made["spec"] |= {"type": "NodePort", "ports": two}
    assert "requested: services.nodeports=2" in (await refused(api.update(made)))["message"]
    made["spec"]["ports"] = two[:1]
    assert (await api.update(made))["spec"]["type"] == "NodePort"
    assert await api.patch(SERVICE, "a", "s", {"metadata": {"labels": {"still": "fits"}}})


def claim(name: str, storage: str, storage_class: str = "gold") -> Object:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": storage}},
    }
    meta = {"name": name, "namespace": "a"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


async def test_storage_is_counted_by_class(api: Api) -> None:
    hard = quota(requests_storage="10Gi")
    hard["spec"]["hard"]["gold.storageclass.storage.k8s.io/requests.storage"] = "5Gi"
    await api.create(hard)
    await api.create(claim("c1", "4Gi"))
    assert (await refused(api.create(claim("c2", "2Gi"))))["message"] == (
        'persistentvolumeclaims "c2" is forbidden: exceeded quota: q, '
        "requested: gold.storageclass.storage.k8s.io/requests.storage=2Gi, "
        "used: gold.storageclass.storage.k8s.io/requests.storage=4Gi, "
        "limited: gold.storageclass.storage.k8s.io/requests.storage=5Gi"
    )
    assert await api.create(claim("c2", "2Gi", "silver"))


async def test_a_dry_run_takes_nothing(api: Api) -> None:
    await api.create(quota(pods="1"))
    for _ in range(3):
        await api.create(pod("p"), dry_run=True)
    await api.create(pod("p"))


async def test_a_failed_write_gives_back(api: Api) -> None:
    await api.create(quota(pods="2"))
    await api.create(pod("p"))
    for _ in range(3):
        with pytest.raises(ApiError, match="already exists"):
            await api.create(pod("p"))
    assert await api.create(pod("q"))


def big(kind: str, name: str, **spec: Any) -> Object:
    meta = {"name": name, **({"namespace": "a"} if kind == "ResourceClaim" else {})}
    return {"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": meta, "spec": spec}


async def test_pods_and_claims_share_a_quota_of_an_extended_resource(api: Api) -> None:
    await api.create(big("DeviceClass", "big", extendedResourceName="gpu.test/big"))
    await api.create(quota(requests_gpu_test__big="2"))
    wants = {"requests": [{"name": "r", "exactly": {"deviceClassName": "big", "count": 2}}]}
    await api.create(asking("p1", {"gpu.test/big": "1"}, **{"gpu.test/big": "1"}))
    said = "requests.gpu.test/big=2, used: requests.gpu.test/big=1, limited: requests.gpu.test/big=2"
    assert said in (await refused(api.create(big("ResourceClaim", "two", devices=wants))))["message"]
    wants["requests"][0]["exactly"]["count"] = 1
    await api.create(big("ResourceClaim", "one", devices=wants))
    said = "requests.gpu.test/big=1, used: requests.gpu.test/big=2, limited: requests.gpu.test/big=2"
    refusal = await refused(api.create(asking("p2", {"gpu.test/big": "1"}, **{"gpu.test/big": "1"})))
    assert said in refusal["message"]


async def test_a_claim_counts_for_what_its_class_stands_for_now(api: Api) -> None:
    await api.create(quota(requests_gpu_test__big="1"))
    wants = {"requests": [{"name": "r", "exactly": {"deviceClassName": "big", "count": 1}}]}
    await api.create(big("ResourceClaim", "before", devices=wants))
    await api.create(big("DeviceClass", "big", extendedResourceName="gpu.test/big"))
    said = "exceeded quota: q, requested: requests.gpu.test/big=1, used: requests.gpu.test/big=1"
    assert said in (await refused(api.create(big("ResourceClaim", "after", devices=wants))))["message"]
    await api.delete(DEVICE_CLASS, "", "big")
    await api.create(big("ResourceClaim", "after", devices=wants))


def telling(api: Api, used: str) -> Any:
    return api.patch(QUOTA, "a", "q", {"status": {"used": {"pods": used}}}, subresource="status")


async def created_by_joe(api: Api) -> asyncio.Task[Object]:
    """The pod is there; whether its creation has been answered is another question."""
    creating = asyncio.create_task(api.create(pod("p"), user=User("joe", ("system:authenticated",))))
    while not await api.names(POD, "a"):  # noqa: ASYNC110
        await asyncio.sleep(0)
    return creating


async def turns(answered: asyncio.Task[Object]) -> bool:
    """Whether the answer comes within some turns of the loop, that is in less time than is waited at most."""
    for _ in range(100):
        await asyncio.sleep(0)
    return answered.done()


async def test_whoever_creates_is_answered_when_the_quota_tells_of_it(api: Api) -> None:
    await api.create(quota(pods="10"))
    await telling(api, "0")
    creating = await created_by_joe(api)
    assert not await turns(creating)
    await telling(api, "1")
    assert await turns(creating)


async def test_a_quota_that_nobody_counts_keeps_no_answer_for_long(api: Api) -> None:
    await api.create(quota(pods="10"))
    await (await created_by_joe(api))


async def test_an_answer_does_not_wait_for_a_quota_that_is_gone(api: Api) -> None:
    await api.create(quota(pods="10"))
    creating = await created_by_joe(api)
    await api.delete(QUOTA, "a", "q")
    assert await turns(creating)


@asynccontextmanager
async def limiting(*limited: Object) -> AsyncIterator[Api]:
    chain = [resource_quota.plugin(limited) if plugin.name == "ResourceQuota" else plugin for plugin in CHAIN]
    async with running(MemoryStore(), chain=chain) as api:
        await api.namespace("a")
        yield api


async def test_what_is_limited_takes_a_quota_that_covers_it() -> None:
    async with limiting({"resource": "pods", "matchContains": ["requests.cpu", "pods"]}) as api:
        status = await refused(api.create(asking("p", cpu="1")))
        assert status["message"] == (
            'pods "p" is forbidden: insufficient quota to consume: count/pods,pods,requests.cpu'
        )
        await api.create(quota(count__pods="5", pods="5"))
        status = await refused(api.create(asking("p", cpu="1")))
        assert status["message"] == 'pods "p" is forbidden: insufficient quota to consume: requests.cpu'
        assert await api.create(pod("free")), "it asks for no CPU"
        await api.create(quota("cpu", requests_cpu="5"))
        assert await api.create(asking("p", cpu="1"))
        assert await api.create(configmap("others"))


async def test_what_is_of_a_limited_scope_takes_a_quota_of_that_scope() -> None:
    scopes = [{"scopeName": "PriorityClass", "operator": "In", "values": ["vip", "vop"]}]
    async with limiting({"resource": "pods", "matchScopes": scopes}) as api:
        class_: Object = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1}
        await api.create({**class_, "metadata": {"name": "vip"}})
        await api.create(quota(pods="5"))
        status = await refused(api.create(pod("p", priorityClassName="vip")))
        assert status["message"] == "insufficient quota to match these scopes: [{PriorityClass In [vip vop]}]"
        assert (status["code"], status.get("reason")) == (500, None)
        assert await api.create(pod("plain"))
        await api.create(quota("vip", ["PriorityClass"], pods="5"))
        assert await api.create(pod("p", priorityClassName="vip"))
