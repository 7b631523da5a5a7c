"""An APIService for each group and version that the server itself serves.

Source: pkg/controlplane/apiserver/aggregator.go, kube-aggregator pkg/controllers/autoregister.
"""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api.object import Object

_LABELS = {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
_GROUPS = (
    # group, versions, how early clients shall look there
    ("", "v1", 18000),
    ("admissionregistration.k8s.io", "v1", 16700),
    ("apiextensions.k8s.io", "v1", 16700),
    ("apps", "v1", 17800),
    ("authentication.k8s.io", "v1", 17700),
    ("authorization.k8s.io", "v1", 17600),
    ("autoscaling", "v1 v2", 17500),
    ("batch", "v1", 17400),
    ("certificates.k8s.io", "v1", 17300),
    ("coordination.k8s.io", "v1", 16500),
    ("discovery.k8s.io", "v1", 16200),
    ("events.k8s.io", "v1", 17750),
    ("flowcontrol.apiserver.k8s.io", "v1", 16100),
    ("metrics.k8s.io", "v1beta1", 100),
    ("networking.k8s.io", "v1", 17200),
    ("node.k8s.io", "v1", 16300),
    ("policy", "v1", 17100),
    ("rbac.authorization.k8s.io", "v1", 17000),
    ("resource.k8s.io", "v1", 16200),
    ("scheduling.k8s.io", "v1", 16600),
    ("storage.k8s.io", "v1", 16800),
)
PRIORITIES = {"apiregistration.k8s.io": 20000, **{group: priority for group, _, priority in _GROUPS}}
"""How early clients shall look there, by group."""
_VERSION_PRIORITIES = {"": 1, "flowcontrol.apiserver.k8s.io": 21, "metrics.k8s.io": 100, "resource.k8s.io": 21}


def objects() -> Iterator[Object]:
    for group, versions, priority in _GROUPS:
        for version in versions.split():
            rank = 30 if version == "v2" else _VERSION_PRIORITIES.get(group, 15)
            spec = {"group": group, "version": version, "groupPriorityMinimum": priority, "versionPriority": rank}
            yield {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"{version}.{group}", "labels": dict(_LABELS)},
                "spec": {name: value for name, value in spec.items() if value},
            }
