"""What a write may not set, what it may not lose, and what counts as a new generation."""

import pytest

from pylet.api.kinds.certificatesigningrequest import KIND as CSR
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.event_v1 import KIND as EVENT_V1
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Object
from pylet.api.qos import qos_class


def pod(*resources: Object, **spec: object) -> Object:
    containers = [{"name": str(at), "resources": one} for at, one in enumerate(resources)]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers, **spec}, "status": {"phase": "Running"}}


EQUAL = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("obj", "qos"),
    [
        pytest.param(pod({}), "BestEffort", id="nothing asked"),
        pytest.param(pod(EQUAL, EQUAL), "Guaranteed", id="requests are limits"),
        pytest.param(pod(EQUAL, {}), "Burstable", id="one container asks nothing"),
        pytest.param(pod({"requests": {"cpu": "1"}}), "Burstable", id="no limits"),
        pytest.param(pod({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}), "Burstable", id="no memory"),
        pytest.param(pod({"limits": {"example.com/gpu": "1"}}), "BestEffort", id="only other resources"),
    ],
)
def test_qos_class(obj: Object, qos: str) -> None:
    assert qos_class(obj) == qos


def test_a_new_pod_is_pending_whatever_it_claims() -> None:
    obj = pod({})
    POD.strategy.prepare_create(obj)
    assert obj["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert obj["metadata"]["generation"] == 1


def test_a_pods_negative_grace_is_one_whenever_it_is_said() -> None:
    obj = pod({}, terminationGracePeriodSeconds=-1)
    POD.strategy.prepare_create(obj)
    assert obj["spec"]["terminationGracePeriodSeconds"] == 1
    again = pod({}, terminationGracePeriodSeconds=-1)
    POD.strategy.prepare_update(again, obj, "")
    assert again["spec"] == obj["spec"]


def test_a_pods_status_leaves_its_deletion_and_its_owners_alone() -> None:
    old, obj = pod({}), pod({})
    old["metadata"]["ownerReferences"] = [{"uid": "u"}]
    obj["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"
    POD.strategy.prepare_update(obj, old, "status")
    assert obj["metadata"] == {**old["metadata"], "generation": 1}


@pytest.mark.parametrize(
    ("obj", "asked", "seconds"),
    [
        pytest.param(pod({}, terminationGracePeriodSeconds=30), None, 0, id="unscheduled pods go at once"),
        pytest.param(pod({}, terminationGracePeriodSeconds=30, nodeName="n"), None, 30, id="the pod's own period"),
        pytest.param(pod({}, terminationGracePeriodSeconds=30, nodeName="n"), 5, 5, id="the period asked for"),
        pytest.param(pod({}, terminationGracePeriodSeconds=-1, nodeName="n"), None, 1, id="a negative one is one"),
    ],
)
def test_grace(obj: Object, asked: int | None, seconds: int) -> None:
    assert POD.strategy.delete_grace_seconds(obj, asked) == seconds


def test_generation_counts_specs_and_a_deployments_annotations() -> None:
    old: Object = {"metadata": {"generation": 3}, "spec": {"replicas": 1}, "status": {"replicas": 1}}
    same: Object = {"metadata": {}, "spec": {"replicas": 1}, "status": {"replicas": 9}}
    DEPLOYMENT.strategy.prepare_update(same, old, "")
    assert (same["metadata"]["generation"], same["status"]) == (3, {"replicas": 1})
    scaled: Object = {"metadata": {}, "spec": {"replicas": 2}}
    DEPLOYMENT.strategy.prepare_update(scaled, old, "")
    assert scaled["metadata"]["generation"] == 4
    annotated: Object = {"metadata": {"annotations": {"a": "b"}}, "spec": {"replicas": 1}}
    DEPLOYMENT.strategy.prepare_update(annotated, old, "")
    assert annotated["metadata"]["generation"] == 4
    status: Object = {"metadata": {"generation": 3}, "spec": {"replicas": 7}, "status": {"replicas": 2}}
    DEPLOYMENT.strategy.prepare_update(status, old, "status")
    assert (status["spec"], status["status"], status["metadata"]["generation"]) == ({"replicas": 1}, {"replicas": 2}, 3)


def test_a_namespaces_finalizers_change_by_finalize_alone() -> None:
    obj: Object = {"metadata": {"name": "n"}, "spec": {}, "status": {}}
    NAMESPACE.strategy.prepare_create(obj)
    assert (obj["spec"], obj["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    written: Object = {"metadata": {"name": "n"}, "spec": {"finalizers": []}}
    NAMESPACE.strategy.prepare_update(written, obj, "")
    assert written["spec"] == {"finalizers": ["kubernetes"]}
    finalized: Object = {"metadata": {"name": "n"}, "spec": {"finalizers": []}, "status": {"phase": "x"}}
    NAMESPACE.strategy.prepare_update(finalized, obj, "finalize")
    assert (finalized["spec"], finalized["status"]) == ({"finalizers": []}, {"phase": "Active"})


def test_a_service_that_is_no_longer_a_node_port_gives_its_ports_back() -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    old: Object = {
        "metadata": {},
        "spec": {"type": "NodePort", "ports": ports, "externalTrafficPolicy": "Cluster"},
        "status": {"loadBalancer": {}},
    }
    new: Object = {
        "metadata": {},
        "spec": {"type": "ClusterIP", "ports": [dict(ports[0])], "externalTrafficPolicy": "Cluster"},
    }
    SERVICE.strategy.prepare_update(new, old, "")
    assert new["spec"] == {"type": "ClusterIP", "ports": [{"port": 80}]}
    assert old["spec"]["ports"] == ports


def test_a_service_that_is_asked_for_its_health_no_more_gives_up_that_port() -> None:
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30080}
    old: Object = {"metadata": {}, "spec": spec}
    new: Object = {"metadata": {}, "spec": {**spec, "externalTrafficPolicy": "Cluster"}}
    SERVICE.strategy.prepare_update(new, old, "")
    assert new["spec"] == {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"}


def test_a_service_without_node_ports_gives_them_up_though_it_loses_ports_meanwhile() -> None:
    ports = [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30081}]
    old: Object = {"metadata": {}, "spec": {"type": "NodePort", "ports": ports}}
    new: Object = {"metadata": {}, "spec": {"type": "ClusterIP", "ports": [dict(ports[1])]}}
    SERVICE.strategy.prepare_update(new, old, "")
    assert new["spec"] == {"type": "ClusterIP", "ports": [{"port": 81}]}


def test_a_service_that_is_a_name_elsewhere_has_no_policy_within() -> None:
    spec = {"type": "ExternalName", "externalName": "a.test", "internalTrafficPolicy": "Cluster"}
    new: Object = {"metadata": {}, "spec": dict(spec)}
    SERVICE.strategy.prepare_create(new)
    assert "internalTrafficPolicy" not in new["spec"]
    changed: Object = {"metadata": {}, "spec": dict(spec)}
    SERVICE.strategy.prepare_update(changed, new, "")
    assert changed["spec"] == new["spec"]


def test_a_certificate_request_changes_through_its_subresources_only() -> None:
    old: Object = {"metadata": {}, "spec": {"a": 1}, "status": {"conditions": [{"type": "Approved"}]}}
    plain: Object = {"metadata": {}, "spec": {"a": 2}, "status": {}}
    CSR.strategy.prepare_update(plain, old, "")
    assert (plain["spec"], plain["status"]) == (old["spec"], old["status"])
    said = [{"type": "Failed"}, {"type": "Approved", "message": "changed"}]
    signed: Object = {"metadata": {}, "spec": {"a": 2}, "status": {"certificate": "x", "conditions": said}}
    CSR.strategy.prepare_update(signed, old, "status")
    assert signed["status"] == {"certificate": "x", "conditions": [{"type": "Failed"}, {"type": "Approved"}]}
    denied: Object = {"metadata": {}, "spec": {}, "status": {"certificate": "x", "conditions": [{"type": "Denied"}]}}
    CSR.strategy.prepare_update(denied, old, "approval")
    assert denied["status"] == {"conditions": [{"type": "Denied"}]}


def test_events_are_one_storage_under_two_names() -> None:
    newer: Object = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "n", "regarding": {"kind": "Pod"}}
    stored = EVENT_V1.to_stored(newer)
    assert stored == {"apiVersion": "v1", "kind": "Event", "message": "n", "involvedObject": {"kind": "Pod"}}
    assert EVENT_V1.from_stored(stored) == newer
