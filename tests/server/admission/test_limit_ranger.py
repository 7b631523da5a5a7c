"""What LimitRanges add and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Object
from tests.server.kit import Api, pod, refused


def limit_range(sort: str, **limit: Any) -> Object:
    spec = {"limits": [{"type": sort, **limit}]}
    meta = {"name": sort.lower(), "namespace": "a"}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": spec}


def container(name: str = "c", requests: Object | None = None, limits: Object | None = None) -> Object:
    resources = {field: given for field, given in (("requests", requests), ("limits", limits)) if given}
    return {"name": name, "image": "registry.test/c:1", "resources": resources}


async def test_defaults_fill_what_is_not_said(api: Api) -> None:
    await api.create(
        limit_range("Container", default={"cpu": "2", "memory": "1Gi"}, defaultRequest={"cpu": "500m", "memory": "1Gi"})
    )
    asked = pod("p", containers=[container(requests={"cpu": "1"})], initContainers=[container("i")])
    made = await api.create(asked)
    assert made["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "1Gi"},
    }
    assert made["spec"]["initContainers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: memory request for container c; cpu, memory limit for container c; "
        "cpu, memory request for init container i; cpu, memory limit for init container i"
    )


@pytest.mark.parametrize(
    ("limit", "containers", "says"),
    [
        (
            limit_range("Container", max={"cpu": "1"}, default={"cpu": "1"}),
            [container(limits={"cpu": "2"})],
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            limit_range("Container", min={"memory": "1Gi"}),
            [container(requests={"memory": "1Mi"})],
            "minimum memory usage per Container is 1Gi, but request is 1Mi",
        ),
        (
            limit_range("Container", maxLimitRequestRatio={"cpu": "2"}),
            [container(requests={"cpu": "1"}, limits={"cpu": "2500m"})],
            "cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000",
        ),
        (
            limit_range("Pod", max={"cpu": "1"}),
            [container(limits={"cpu": "600m"}), container("d", limits={"cpu": "600m"})],
            "maximum cpu usage per Pod is 1, but limit is 1200m",
        ),
        (
            limit_range("Pod", min={"cpu": "1"}, max={"memory": "1Gi"}),
            [container()],
            "[minimum cpu usage per Pod is 1.  No request is specified, "
            "maximum memory usage per Pod is 1Gi.  No limit is specified]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_bounds_are_kept(api: Api, limit: Object, containers: list[Object], says: str) -> None:
    await api.create(limit)
    status = await refused(api.create(pod("p", containers=containers)))
    assert (status["code"], status["message"]) == (403, f'pods "p" is forbidden: {says}')


async def test_claims_are_bounded(api: Api) -> None:
    await api.create(limit_range("PersistentVolumeClaim", min={"storage": "1Gi"}, max={"storage": "2Gi"}))
    for size, says in (
        ("3Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"),
        ("1Gi", ""),
    ):
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "c", "namespace": "a"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        }
        if says:
            assert (await refused(api.create(claim)))["message"] == f'persistentvolumeclaims "c" is forbidden: {says}'
        else:
            assert (await api.create(claim))["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
