"""Pods and policies as the API has them, in as few words as a test needs."""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object


def pod(name: str, address: str, *, namespace: str = "x", node: str = "here", **spec: Any) -> Object:
    """Its label `pod` is its name."""
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"pod": name}},
        "spec": {"nodeName": node, "containers": [{}], **spec},
        "status": {"phase": "Running", "podIPs": [{"ip": address}]},
    }


def policy(name: str = "one", *, subjects: Object | None = None, types: list[str] | None = None, **spec: Any) -> Object:
    """In namespace x, for pods with the labels `subjects`."""
    return {
        "metadata": {"name": name, "namespace": "x"},
        "spec": {
            "podSelector": {"matchLabels": subjects} if subjects else {},
            "policyTypes": types or [way.capitalize() for way in ("ingress", "egress") if way in spec],
            **spec,
        },
    }


def named(name: str) -> Object:
    return {"matchLabels": {"pod": name}}


def namespace(name: str) -> Object:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}
