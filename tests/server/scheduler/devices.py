"""Devices in few words: slices of them, their classes, and claims that want or have some."""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object

DRIVER = "dra.example.com"
HERE = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}


def device_class(name: str = "gpu", **spec: Any) -> Object:
    return {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": name}, "spec": spec}


def slice_of(
    *devices: Object, name: str = "s", pool: str = "p", count: int = 1, generation: int = 1, **spec: Any
) -> Object:
    place = (
        {} if spec.keys() & {"allNodes", "nodeSelector", "perDeviceNodeSelection", "nodeName"} else {"nodeName": "n"}
    )
    of_pool = {"name": pool, "resourceSliceCount": count, "generation": generation}
    spec = {"driver": DRIVER, "pool": of_pool, **place, **spec} | ({"devices": list(devices)} if devices else {})
    return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name}, "spec": spec}


def device(name: str, **spec: Any) -> Object:
    if "attributes" in spec:
        spec["attributes"] = {key: _typed(value) for key, value in spec["attributes"].items()}
    if "capacity" in spec:
        spec["capacity"] = {k: v if isinstance(v, dict) else {"value": v} for k, v in spec["capacity"].items()}
    return {"name": name, **spec}


def _typed(value: Any) -> Object:
    return {"bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "string": value}


def request(name: str = "r", device_class: str = "gpu", selector: str = "", **exactly: Any) -> Object:
    if selector:
        exactly["selectors"] = [{"cel": {"expression": selector}}]
    return {"name": name, "exactly": {"deviceClassName": device_class, "allocationMode": "ExactCount", **exactly}}


def claim(*requests: Object, name: str = "c", status: Any = None, **devices: Any) -> Object:
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    spec = {"devices": {"requests": list(requests), **devices}}
    found = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": meta, "spec": spec}
    return found | ({"status": status} if status else {})


def taken(*devices: str, name: str = "other", pool: str = "p", **result: Any) -> Object:
    """A claim that has devices."""
    results = [{"request": "r", "driver": DRIVER, "pool": pool, "device": each, **result} for each in devices]
    return claim(name=name, status={"allocation": {"devices": {"results": results}}})
