"""What `kubectl get -o wide` shows of objects, cell by cell."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pylet.api import columns, kinds
from pylet.api.object import Object
from pylet.api.wire import table

NOW = datetime(2026, 1, 2, tzinfo=UTC)
META = {"name": "x", "creationTimestamp": "2026-01-01T23:55:00Z"}


def pod(status: Object, **spec: Any) -> Object:
    containers = [{"name": "a"}, {"name": "b"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": META,
        "spec": {"containers": containers, **spec},
        "status": status,
    }


def ran(name: str, ready: bool = True, restarts: int = 0, last: str = "") -> Object:
    status: Object = {"name": name, "ready": ready, "restartCount": restarts, "state": {"running": {}}, "lastState": {}}
    if last:
        status["lastState"] = {"terminated": {"finishedAt": last}}
    return status


def ended(name: str, code: int = 0, reason: str = "") -> Object:
    return {
        "name": name,
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "reason": reason}},
    }


def waits(name: str, reason: str) -> Object:
    return {"name": name, "ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}}


@pytest.mark.parametrize(
    ("obj", "ready", "status", "restarts"),
    [
        pytest.param(pod({"phase": "Pending"}), "0/2", "Pending", "0", id="pending"),
        pytest.param(
            pod({"phase": "Running", "containerStatuses": [ran("a"), ran("b")]}), "2/2", "Running", "0", id="running"
        ),
        pytest.param(
            pod(
                {"phase": "Running", "containerStatuses": [ran("a", restarts=2, last="2026-01-01T23:58:00Z"), ran("b")]}
            ),
            "2/2",
            "Running",
            "2 (2m ago)",
            id="restarted",
        ),
        pytest.param(
            pod({"phase": "Running", "containerStatuses": [ran("a"), waits("b", "CrashLoopBackOff")]}),
            "1/2",
            "CrashLoopBackOff",
            "0",
            id="one crashes",
        ),
        pytest.param(
            pod({"phase": "Succeeded", "containerStatuses": [ended("a", 0, "Completed"), ended("b", 0, "Completed")]}),
            "0/2",
            "Completed",
            "0",
            id="completed",
        ),
        pytest.param(
            pod({"phase": "Failed", "containerStatuses": [ended("a", 3), ended("b", 0, "Completed")]}),
            "0/2",
            "ExitCode:3",
            "0",
            id="failed without a reason",
        ),
        pytest.param(pod({"phase": "Failed", "reason": "Evicted"}), "0/2", "Evicted", "0", id="evicted"),
        pytest.param(
            pod(
                {"phase": "Pending", "initContainerStatuses": [ended("i"), waits("j", "PodInitializing")]},
                initContainers=[{"name": "i"}, {"name": "j"}],
            ),
            "0/2",
            "Init:1/2",
            "0",
            id="second init container",
        ),
        pytest.param(
            pod(
                {"phase": "Pending", "initContainerStatuses": [ended("i", 1, "Error")]}, initContainers=[{"name": "i"}]
            ),
            "0/2",
            "Init:Error",
            "0",
            id="init container failed",
        ),
        pytest.param(
            {**pod({"phase": "Running"}), "metadata": {**META, "deletionTimestamp": "2026-01-02T00:00:30Z"}},
            "0/2",
            "Terminating",
            "0",
            id="terminating",
        ),
        pytest.param(
            pod(
                {
                    "phase": "Pending",
                    "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
                }
            ),
            "0/2",
            "SchedulingGated",
            "0",
            id="gated",
        ),
    ],
)
def test_pod_status(obj: Object, ready: str, status: str, restarts: str) -> None:
    assert kinds_cells(obj)[:5] == ["x", ready, status, restarts, "5m"]


def kinds_cells(obj: Object) -> list[Any]:
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = kinds.by_kind(group, version, obj["kind"])
    assert kind is not None
    assert kind.cells is not None
    cells = kind.cells(obj, NOW)
    assert len(cells) == len(kind.columns)
    return cells


@pytest.mark.parametrize(
    ("obj", "cells"),
    [
        pytest.param(
            pod({"podIPs": [{"ip": "10.0.0.1"}], "phase": "Running"}, nodeName="n"),
            ["x", "0/2", "Running", "0", "5m", "10.0.0.1", "n", "<none>", "<none>"],
            id="pod",
        ),
        pytest.param(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": META,
                "spec": {
                    "replicas": 3,
                    "selector": {"matchLabels": {"app": "a"}},
                    "template": {"spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]}},
                },
                "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1},
            },
            ["x", "2/3", 3, 1, "5m", "a,b", "i,j", "app=a"],
            id="deployment",
        ),
        pytest.param(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": META,
                "spec": {
                    "type": "NodePort",
                    "clusterIPs": ["10.43.0.1"],
                    "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
                    "selector": {"b": "2", "a": "1"},
                },
            },
            ["x", "NodePort", "10.43.0.1", "<none>", "80:30080/TCP,53/UDP", "5m", "a=1,b=2"],
            id="service",
        ),
        pytest.param(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {**META, "labels": {"node-role.kubernetes.io/control-plane": ""}},
                "spec": {"unschedulable": True},
                "status": {
                    "conditions": [{"type": "Ready", "status": "Unknown"}],
                    "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                    "nodeInfo": {
                        "kubeletVersion": "v1",
                        "kernelVersion": "6.1",
                        "architecture": "amd64",
                        "osImage": "Debian",
                    },
                },
            },
            [
                "x",
                "NotReady,SchedulingDisabled",
                "control-plane",
                "5m",
                "v1",
                "192.0.2.1",
                "<none>",
                "Debian",
                "6.1 (amd64)",
                "<unknown>",
            ],
            id="node",
        ),
        pytest.param(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": META,
                "involvedObject": {"kind": "Pod", "name": "p"},
                "reason": "Started",
                "type": "Normal",
                "message": "Started\n",
                "firstTimestamp": "2026-01-01T23:00:00Z",
                "lastTimestamp": "2026-01-01T23:59:00Z",
                "count": 4,
                "source": {"component": "kubelet", "host": "n"},
            },
            ["60s", "Normal", "Started", "pod/p", "", "kubelet, n", "Started", "60m", 4, "x"],
            id="event",
        ),
        pytest.param(
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": META,
                "subsets": [{"addresses": [{"ip": f"10.0.0.{i}"} for i in range(1, 6)], "ports": [{"port": 80}]}],
            },
            ["x", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...", "5m"],
            id="endpoints",
        ),
        pytest.param(
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": META, "addressType": "IPv4"},
            ["x", "IPv4", "<unset>", "<unset>", "5m"],
            id="empty endpointslice",
        ),
        pytest.param(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": META,
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
            },
            ["x", "Role/r", "5m", "u", "", "n/s"],
            id="rolebinding",
        ),
        pytest.param(
            {
                "apiVersion": "certificates.k8s.io/v1",
                "kind": "CertificateSigningRequest",
                "metadata": META,
                "spec": {"signerName": "s.io/a", "username": "u", "expirationSeconds": 7200},
                "status": {"conditions": [{"type": "Approved"}], "certificate": "YQ=="},
            },
            ["x", "5m", "s.io/a", "u", "120m", "Approved,Issued"],
            id="csr",
        ),
    ],
)
def test_cells(obj: Object, cells: list[Any]) -> None:
    assert kinds_cells(obj) == cells


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (-1, "0s"),
        (-0.5, "0s"),
        (-5, "<invalid>"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (900, "15m"),
        (10800, "3h"),
        (3600 * 7 + 120, "7h2m"),
        (3600 * 30, "30h"),
        (86400 * 5 + 3600, "5d1h"),
        (86400 * 100, "100d"),
        (86400 * 800, "2y70d"),
        (86400 * 365 * 9, "9y"),
    ],
)
def test_human_duration(seconds: float, shown: str) -> None:
    assert columns.human_duration(seconds) == shown


def test_an_age_counts_from_a_time() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert columns.since("2026-01-02T03:03:00Z", now) == "65s"
    assert columns.since("2026-01-01T03:04:05.000000Z", now) == "24h"
    assert columns.since(None, now) == "<unknown>"


def test_table_of_a_list() -> None:
    kind = kinds.by_resource("", "v1", "serviceaccounts")
    assert kind is not None
    found = table.table(kind, [{"metadata": META}], {"resourceVersion": "7", "remainingItemCount": 3}, NOW)
    assert found["metadata"] == {"resourceVersion": "7", "remainingItemCount": 3}
    assert [(c["name"], c["type"], c["format"], c["priority"]) for c in found["columnDefinitions"]] == [
        ("Name", "string", "name", 0),
        ("Age", "string", "", 0),
    ]
    assert found["rows"] == [
        {
            "cells": ["x", "5m"],
            "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": META},
        }
    ]


def test_a_kind_without_columns_shows_name_and_creation() -> None:
    kind = kinds.by_resource("rbac.authorization.k8s.io", "v1", "roles")
    assert kind is not None
    found = table.table(kind, [{"metadata": META}], {}, NOW, include=table.NONE)
    assert [column["name"] for column in found["columnDefinitions"]] == ["Name", "Created At"]
    assert found["rows"] == [{"cells": ["x", "2026-01-01T23:55:00Z"], "object": None}]
