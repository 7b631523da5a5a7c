"""HorizontalPodAutoscaler: what metrics call for, and how it is steadied, bounded and told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import orjson
import pytest

from pylet.api.crd.kinds import kinds_of
from pylet.api.errors import ApiError, NotFound
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import autoscaling
from pylet.server.controllers.autoscaling.behavior import History, normalize
from pylet.server.controllers.autoscaling.target import target_of
from pylet.server.reconcile.observations import Answer, Observations
from pylet.server.reconcile.plan import Action, Emit, Patch
from tests.server.controllers.picture import NOW, STORED, obj, pod, view

KEY = Key("default", "web")
LABELS = {"matchLabels": {"app": "web"}}
WEB = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
LONG_AGO = "2026-01-01T10:00:00Z"


def deployment(replicas: int, running: int | None = None) -> Object:
    status = {"replicas": replicas if running is None else running}
    return obj("apps/v1", "Deployment", "web", spec={"replicas": replicas, "selector": LABELS}, status=status)


def cpu(percent: int = 50) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": percent}}}


def autoscaler(*metrics: Object, **spec: Any) -> Object:
    spec = {"scaleTargetRef": WEB, "minReplicas": 1, "maxReplicas": 10, "metrics": list(metrics), **spec}
    return obj("autoscaling/v2", "HorizontalPodAutoscaler", "web", spec=spec)


def worker(name: str, *, requests: str = "100m", ready: bool = True, phase: str = "Running") -> Object:
    found = pod(name, ready=ready)
    found["spec"]["containers"] = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": requests}}}]
    found["status"] |= {"phase": phase, "startTime": LONG_AGO}
    return found


def used(**cpus: str) -> Object:
    now = "2026-01-01T11:59:50Z"
    return {
        "items": [
            {
                "metadata": {"name": name},
                "timestamp": now,
                "window": "15s",
                "containers": [{"name": "c", "usage": {"cpu": amount}}],
            }
            for name, amount in cpus.items()
        ]
    }


RESOURCES = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app=web"


def decide(*objects: Object, **answers: Answer) -> tuple[Action, ...]:
    """`answers`: what every path that begins so is answered."""
    seen = Observations()
    plan = autoscaling.controller(STORED, seen).plan
    if plan(KEY, view(*objects), NOW).again_after == timedelta(seconds=1):
        for path in seen.wanted(NOW):
            group = path.split("/")[2].split(".")[0]
            seen.put(path, answers.get(group, NotFound("", "", path)))
    else:
        plan = autoscaling.controller(STORED, seen).plan
    return plan(KEY, view(*objects), NOW).actions


def size(actions: tuple[Action, ...]) -> int | None:
    patches = [action.patch for action in actions if isinstance(action, Patch) and action.subresource == "scale"]
    return patches[0]["spec"]["replicas"] if patches else None


def said(actions: tuple[Action, ...]) -> dict[str, tuple[str, str]]:
    (patch,) = [action.patch for action in actions if isinstance(action, Patch) and action.subresource == "status"]
    return {c["type"]: (c["status"], c["reason"]) for c in patch["status"]["conditions"]}


def test_what_is_asked_of_the_metrics_apis() -> None:
    seen = Observations()
    selected = {"name": "queue", "selector": {"matchLabels": {"q": "1"}}}
    metrics = [
        cpu(),
        {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"averageValue": "1"}}},
        {"type": "Object", "object": {"metric": {"name": "rps"}, "describedObject": WEB, "target": {"type": "Value"}}},
        {"type": "External", "external": {"metric": selected, "target": {"value": "30"}}},
    ]
    for metric in metrics:
        picture = view(autoscaler(metric), deployment(1), worker("a"))
        assert autoscaling.controller(STORED, seen).plan(KEY, picture, NOW).actions == ()
    custom = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default"
    assert [unquote(path) for path in seen.wanted(NOW)] == [
        RESOURCES,
        f"{custom}/pods/*/hits?labelSelector=app=web",
        f"{custom}/deployments.apps/web/rps",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue?labelSelector=q=1",
    ]


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        pytest.param({"a": "100m", "b": "100m"}, 4, id="twice the target: twice the pods"),
        pytest.param({"a": "52m", "b": "52m"}, None, id="within tolerance nothing changes"),
        pytest.param({"a": "40m", "b": "40m"}, None, id="a little less is still two pods"),
        pytest.param({"a": "100m"}, None, id="a pod without metrics counts as idle when growing"),
    ],
)
def test_pods_for_a_utilization(uses: dict[str, str], expected: int | None) -> None:
    actions = decide(autoscaler(cpu()), deployment(2), worker("a"), worker("b"), metrics=used(**uses))
    assert size(actions) == expected
    assert said(actions)["ScalingActive"] == ("True", "ValidMetricFound")


def test_pending_pods_hold_growth_back() -> None:
    workers = [worker("a"), worker("b"), worker("c", phase="Pending")]
    actions = decide(autoscaler(cpu()), deployment(3), *workers, metrics=used(a="100m", b="100m"))
    assert size(actions) == 4  # not six: the pending one counts with nothing


def test_shrinking_waits_for_the_window() -> None:
    actions = decide(autoscaler(cpu()), deployment(2), worker("a"), worker("b"), metrics=used(a="10m", b="10m"))
    assert size(actions) is None
    assert said(actions)["AbleToScale"] == ("True", "ScaleDownStabilized")


@pytest.mark.parametrize(
    ("replicas", "expected", "why"),
    [
        (20, 10, "Current number of replicas above Spec.MaxReplicas"),
        (1, 2, "Current number of replicas below Spec.MinReplicas"),
    ],
)
def test_the_bounds_need_no_metrics(replicas: int, expected: int, why: str) -> None:
    actions = decide(autoscaler(cpu(), minReplicas=2), deployment(replicas))
    assert size(actions) == expected
    (told,) = [action.told for action in actions if isinstance(action, Patch) and action.told]
    assert (told.reason, told.message) == ("SuccessfulRescale", f"New size: {expected}; reason: {why}")


def test_a_refused_scale_is_told_of() -> None:
    (scale, *_) = decide(autoscaler(cpu()), deployment(20))
    assert isinstance(scale, Patch)
    assert scale.refused is not None
    actions = scale.refused(ApiError("no"))
    (event,) = [action for action in actions if isinstance(action, Emit)]
    why = "Current number of replicas above Spec.MaxReplicas"
    assert (event.type, event.reason, event.message) == (
        "Warning",
        "FailedRescale",
        f"New size: 10; reason: {why}; error: no",
    )
    assert said(actions)["AbleToScale"] == ("False", "FailedUpdateScale")


def test_a_workload_scaled_to_nothing_is_left_alone() -> None:
    actions = decide(autoscaler(cpu()), deployment(0))
    assert size(actions) is None
    assert said(actions)["ScalingActive"] == ("False", "ScalingDisabled")


def test_without_metrics_it_says_so_and_does_nothing() -> None:
    actions = decide(autoscaler(cpu()), deployment(2), worker("a"), worker("b"), metrics={"items": []})
    assert size(actions) is None
    assert said(actions) == {
        "AbleToScale": ("True", "SucceededGetScale"),
        "ScalingActive": ("False", "FailedGetResourceMetric"),
    }
    assert [(a.reason, a.message) for a in actions if isinstance(a, Emit)] == [
        (
            "FailedGetResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu: "
            "no metrics returned from resource metrics API",
        ),
        (
            "FailedComputeMetricsReplicas",
            "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: "
            "failed to get cpu utilization: unable to get metrics for resource cpu: "
            "no metrics returned from resource metrics API",
        ),
    ]


def test_a_target_that_is_not_there_is_told_of() -> None:
    actions = decide(autoscaler(cpu()))
    assert said(actions) == {"AbleToScale": ("False", "FailedGetScale")}
    (told,) = [action for action in actions if isinstance(action, Emit)]
    assert told.message == 'deployments.apps "web" not found'


def scaled_by(field: str) -> Object:
    return {"scale": {"specReplicasPath": f".spec.{field}", "statusReplicasPath": f".status.{field}"}}


@pytest.mark.parametrize(
    ("conversion", "version"),
    [pytest.param("None", "v2", id="preferred"), pytest.param("Webhook", "v1", id="stored, where a webhook converts")],
)
def test_a_custom_resource_is_scaled_through_the_version_that_says_how(conversion: str, version: str) -> None:
    names = {"kind": "Widget", "plural": "widgets"}
    versions = [
        {"name": "v1", "served": True, "storage": True, "subresources": scaled_by("replicas")},
        {"name": "v2", "served": True, "storage": False, "subresources": scaled_by("count")},
    ]
    webhook = {"strategy": conversion, "webhook": {"conversionReviewVersions": ["v1"]}}
    spec = {"group": "a.test", "scope": "Namespaced", "names": names, "versions": versions, "conversion": webhook}
    *_, kind = kinds_of(orjson.dumps({"spec": spec, "status": {"acceptedNames": names}}))
    widget = obj("a.test/v1", "Widget", "web", spec={"replicas": 4, "count": 2})
    table = Table(kind)
    table.put(Entry.of(kind, widget))
    picture = View({kind: table})
    reference = {"scaleTargetRef": {"kind": "Widget", "name": "web", "apiVersion": "a.test/v1"}}
    target = target_of(autoscaler() | {"spec": reference}, {("a.test", "Widget"): kind}, picture)
    assert (target.kind.version, target.replicas) == (
        version,
        widget["spec"]["count" if version == "v2" else "replicas"],
    )


def test_two_autoscalers_of_the_same_pods_do_nothing() -> None:
    other = {**autoscaler(cpu()), "metadata": {**autoscaler()["metadata"], "name": "rival"}}
    actions = decide(autoscaler(cpu()), other, deployment(2), worker("a"))
    assert said(actions)["ScalingActive"] == ("False", "AmbiguousSelector")


def test_the_metric_that_calls_for_most_counts() -> None:
    queue = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"averageValue": "10"}}}
    metrics = used(a="50m", b="50m")
    external = {"items": [{"value": "30"}, {"value": "20"}]}
    objects = [autoscaler(cpu(), queue), deployment(2), worker("a"), worker("b")]
    actions = decide(*objects, metrics=metrics, external=external)
    assert size(actions) == 4  # five are called for; four is as fast as two may grow
    assert said(actions)["ScalingLimited"] == ("True", "ScaleUpLimit")


def policies(*found: tuple[str, int, int], select: str = "Max", window: int = 0) -> Object:
    listed = [{"type": type_, "value": value, "periodSeconds": period} for type_, value, period in found]
    return {"selectPolicy": select, "policies": listed, "stabilizationWindowSeconds": window}


UP, DOWN = policies(("Percent", 100, 15), ("Pods", 4, 15)), policies(("Percent", 100, 15), window=300)


@pytest.mark.parametrize(
    ("behavior", "current", "advised", "expected", "reason"),
    [
        pytest.param({"scaleUp": UP, "scaleDown": DOWN}, 2, 9, 6, "ScaleUpLimit", id="four pods are more than 100%"),
        pytest.param(
            {"scaleUp": policies(("Pods", 1, 60)), "scaleDown": DOWN}, 2, 9, 3, "ScaleUpLimit", id="one a minute"
        ),
        pytest.param(
            {"scaleUp": policies(("Pods", 1, 60), select="Disabled"), "scaleDown": DOWN},
            2,
            9,
            2,
            "ScaleUpLimit",
            id="never up",
        ),
        pytest.param(
            {"scaleUp": UP, "scaleDown": policies(("Pods", 2, 60), ("Percent", 10, 60), select="Min")},
            9,
            1,
            8,
            "ScaleDownLimit",
            id="the gentlest policy",
        ),
        pytest.param(
            {"scaleUp": policies(("Percent", 10, 60)), "scaleDown": DOWN}, 1, 9, 2, "ScaleUpLimit", id="rounded up"
        ),
        pytest.param(
            {"scaleUp": policies(("Percent", 300, 60)), "scaleDown": DOWN}, 2, 9, 8, "ScaleUpLimit", id="four times"
        ),
        pytest.param({"scaleUp": UP, "scaleDown": policies(("Pods", 9, 60))}, 3, 0, 1, "TooFewReplicas", id="least"),
        pytest.param({"scaleUp": UP, "scaleDown": DOWN}, 9, 90, 10, "TooManyReplicas", id="most"),
    ],
)
def test_policies_bound_the_pace(behavior: Object, current: int, advised: int, expected: int, reason: str) -> None:
    spec = {"minReplicas": 1, "maxReplicas": 10, "behavior": behavior}
    verdict = normalize(spec, History(), current, advised, NOW)
    assert (verdict.replicas, verdict.limit[0]) == (expected, reason)


def test_what_was_done_lately_counts_against_a_policy() -> None:
    behavior = {"scaleUp": policies(("Pods", 4, 60)), "scaleDown": DOWN}
    spec, history = {"minReplicas": 1, "maxReplicas": 100, "behavior": behavior}, History()
    assert normalize(spec, history, 2, 50, NOW).replicas == 6
    history.note(2, 6, NOW)
    assert normalize(spec, history, 6, 50, NOW + timedelta(seconds=30)).replicas == 6
    assert normalize(spec, history, 6, 50, NOW + timedelta(seconds=61)).replicas == 10


def test_a_refused_step_does_not_count_against_a_policy() -> None:
    seen = Observations()
    plan = autoscaling.controller(STORED, seen).plan
    behavior = {"scaleUp": policies(("Pods", 1, 600)), "scaleDown": DOWN}
    picture = view(autoscaler(cpu(), behavior=behavior), deployment(2), worker("a"), worker("b"))
    plan(KEY, picture, NOW)
    seen.put(seen.wanted(NOW)[0], used(a="100m", b="100m"))
    (scale, *_) = actions = plan(KEY, picture, NOW).actions
    assert size(actions) == 3
    assert isinstance(scale, Patch)
    assert scale.refused is not None
    scale.refused(ApiError("no"))
    assert size(plan(KEY, picture, NOW + timedelta(seconds=15)).actions) == 3


def test_a_plan_looks_every_15_seconds_whatever_wakes_it() -> None:
    seen = Observations()
    plan = autoscaling.controller(STORED, seen).plan
    picture = view(autoscaler(cpu()), deployment(2), worker("a"), worker("b"))
    plan(KEY, picture, NOW)
    seen.put(seen.wanted(NOW)[0], used(a="100m", b="100m"))
    assert plan(KEY, picture, NOW).actions
    early = plan(KEY, picture, NOW + timedelta(seconds=5))
    assert (early.actions, early.again_after) == ((), timedelta(seconds=10))
