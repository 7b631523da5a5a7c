"""The rules of workloads and of what bounds and scales them: bad bodies and what is wrong with them."""

from copy import deepcopy
from typing import Any

import pytest

from pylet.api import kinds, schema
from pylet.api.kind import Kind
from pylet.api.kinds import horizontalpodautoscaler, horizontalpodautoscaler_v1
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object

TEMPLATE: Object = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
ONCE: Object = {"spec": {"containers": [{"name": "c", "image": "i:1"}], "restartPolicy": "Never"}}
SELECTOR: Object = {"matchLabels": {"a": "b"}}
SCALED: Object = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "maxReplicas": 5}
CLAIM: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}

GOOD: dict[str, Object] = {
    "statefulsets": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "s"},
    "daemonsets": {"selector": SELECTOR, "template": TEMPLATE},
    "replicationcontrollers": {"template": TEMPLATE},
    "jobs": {"template": ONCE},
    "cronjobs": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": ONCE}}},
    "poddisruptionbudgets": {"selector": SELECTOR, "minAvailable": 1},
    "horizontalpodautoscalers": SCALED,
    "limitranges": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}}]},
    "resourcequotas": {"hard": {"pods": "1", "count/foos.example.com": "2"}},
    "persistentvolumeclaims": CLAIM,
    "persistentvolumes": {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": "/x"},
    },
}


def kind_of(plural: str) -> Kind:
    return next(kind for kind in kinds.all_kinds() if kind.plural == plural and kind.stored_as is None)


def made(plural: str, spec: Object) -> Object:
    """As the write path makes it, before it is judged."""
    kind = kind_of(plural)
    obj: Object = {"metadata": {"name": "x", "uid": "u"}, "spec": deepcopy(spec)}
    schema.default(kind.definition, obj)
    kind.strategy.prepare_create(obj)
    return obj


def causes(plural: str, **spec: Any) -> list[str]:
    merged = {name: value for name, value in {**GOOD[plural], **spec}.items() if value is not None}
    return [str(cause) for cause in kind_of(plural).strategy.validate(made(plural, merged))]


@pytest.mark.parametrize("plural", GOOD)
def test_nothing_is_wrong_with_plain_ones(plural: str) -> None:
    assert causes(plural) == []


NOT_NEGATIVE = "must be greater than or equal to 0"


@pytest.mark.parametrize(
    ("plural", "spec", "says"),
    [
        ("statefulsets", {"replicas": -1}, f"spec.replicas: Invalid value: -1: {NOT_NEGATIVE}"),
        (
            "statefulsets",
            {"podManagementPolicy": "X"},
            "spec.podManagementPolicy: Invalid value: \"X\": must be 'OrderedReady' or 'Parallel'",
        ),
        (
            "daemonsets",
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}},
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: "
            "may not be set when maxUnavailable is non-zero",
        ),
        (
            "daemonsets",
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "150%"}}},
            'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "150%": must not be greater than 100%',
        ),
        (
            "replicationcontrollers",
            {"selector": {"a": "x"}},
            'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
        ),
        (
            "jobs",
            {"template": TEMPLATE},
            'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
        ),
        (
            "jobs",
            {"backoffLimitPerIndex": 1},
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
        ),
        (
            "jobs",
            {"completionMode": "Indexed", "completions": 5, "successPolicy": {"rules": [{"succeededIndexes": "3-9"}]}},
            'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "3-9": '
            'error parsing succeededIndexes: too large index: "9"',
        ),
        (
            "jobs",
            {"podFailurePolicy": {"rules": [{"action": "Ignore"}]}},
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions "
            "is required",
        ),
        ("cronjobs", {"schedule": ""}, "spec.schedule: Required value"),
        (
            "cronjobs",
            {"timeZone": "Mars/Base"},
            'spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base',
        ),
        (
            "poddisruptionbudgets",
            {"unhealthyPodEvictionPolicy": "X"},
            'spec.unhealthyPodEvictionPolicy: Unsupported value: "X": '
            'supported values: "AlwaysAllow", "IfHealthyBudget"',
        ),
        (
            "horizontalpodautoscalers",
            {"maxReplicas": 0},
            "spec.maxReplicas: Required value: must be set and greater than 0",
        ),
        (
            "horizontalpodautoscalers",
            {"minReplicas": 9},
            "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`",
        ),
        (
            "horizontalpodautoscalers",
            {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 3601}}},
            "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: "
            "must be less than or equal to 3600",
        ),
        (
            "limitranges",
            {"limits": [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "3"}, "default": {"cpu": "5"}}]},
            'spec.limits[0].default[cpu]: Invalid value: "3": default value 5 is greater than max value 3',
        ),
        ("resourcequotas", {"hard": {"pods": "1500m"}}, 'spec.hard[pods]: Invalid value: "1500m": must be an integer'),
        (
            "resourcequotas",
            {"scopes": ["BestEffort", "NotBestEffort"]},
            'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
        ),
        (
            "persistentvolumeclaims",
            {"resources": {"requests": {"storage": "0"}}},
            'spec.resources[storage]: Invalid value: "0": must be greater than zero',
        ),
        ("persistentvolumes", {"hostPath": None}, "spec: Required value: must specify a volume type"),
        (
            "persistentvolumes",
            {"hostPath": None, "local": {"path": "/a"}},
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ),
    ],
)
def test_what_is_wrong(plural: str, spec: Object, says: str) -> None:
    assert says in causes(plural, **spec)


def changed(plural: str, before: Object, after: Object, subresource: str = "") -> list[str]:
    old, new = made(plural, {**GOOD[plural], **before}), made(plural, {**GOOD[plural], **after})
    kind_of(plural).strategy.prepare_update(new, old, subresource)
    return [str(cause) for cause in kind_of(plural).strategy.validate_update(new, old, subresource)]


@pytest.mark.parametrize(
    ("plural", "after", "says"),
    [
        ("statefulsets", {"replicas": 5}, None),
        ("statefulsets", {"serviceName": "t"}, "spec: Forbidden: updates to statefulset spec for fields other than"),
        ("daemonsets", {"minReadySeconds": 5}, None),
        ("jobs", {"parallelism": 5, "completions": 1}, None),
        ("jobs", {"completions": 5}, "spec.completions: Invalid value: 5: field is immutable"),
        ("resourcequotas", {"scopes": ["Terminating"]}, "spec.scopes: Invalid value"),
        ("persistentvolumeclaims", {"volumeName": "v"}, None),
        ("persistentvolumeclaims", {"accessModes": ["ReadOnlyMany"]}, "spec: Forbidden: spec is immutable"),
        ("persistentvolumes", {"hostPath": {"path": "/y"}}, "spec.persistentvolumesource: Forbidden"),
    ],
)
def test_what_may_change(plural: str, after: Object, says: str | None) -> None:
    found = changed(plural, {}, after)
    assert (not found) if says is None else any(cause.startswith(says) for cause in found)


def test_a_jobs_selector_is_its_own() -> None:
    job = made("jobs", GOOD["jobs"])
    uid = {"batch.kubernetes.io/controller-uid": "u"}
    assert job["spec"]["selector"] == {"matchLabels": uid}
    assert uid.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        pytest.param([], ["Complete", "SuccessCriteriaMet"], "status.completionTime: Required value", id="no end"),
        pytest.param([], ["Failed"], "cannot set Failed=True condition without the FailureTarget=true", id="no target"),
        pytest.param(
            ["FailureTarget"], [], "cannot disable the terminal FailureTarget=True condition", id="no way back"
        ),
    ],
)
def test_a_jobs_status(before: list[str], after: list[str], says: str) -> None:
    def job(conditions: list[str]) -> Object:
        return {
            **made("jobs", GOOD["jobs"]),
            "status": {"conditions": [{"type": t, "status": "True"} for t in conditions]},
        }

    found = kind_of("jobs").strategy.validate_update(job(after), job(before), "status")
    assert any(says in str(cause) for cause in found)


def test_an_autoscaler_in_v1_keeps_what_v1_has_no_fields_for() -> None:
    external = {"metric": {"name": "q"}, "target": {"type": "Value", "value": "1"}}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    metrics = [{"type": "External", "external": external}, {"type": "Resource", "resource": cpu}]
    stored = made(
        "horizontalpodautoscalers", {**SCALED, "metrics": metrics, "behavior": {"scaleUp": {"selectPolicy": "Min"}}}
    )
    stored["status"]["conditions"] = [{"type": "AbleToScale", "status": "True"}]
    shown = horizontalpodautoscaler_v1.from_stored({**stored, "apiVersion": "autoscaling/v2"})
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 50
    assert shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"] == (
        '[{"type":"External","external":{"metricName":"q","targetValue":"1"}}]'
    )
    assert '"SelectPolicy":"Min"' in shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"]
    again = horizontalpodautoscaler_v1.to_stored(shown)
    assert again["spec"] == stored["spec"]
    assert again["status"]["conditions"] == stored["status"]["conditions"]
    assert "annotations" not in again["metadata"]
    assert horizontalpodautoscaler.KIND.strategy.validate(again) == []


def resized(*, to: Object, **old: Any) -> list[str]:
    resources = {"requests": {"cpu": "1", "memory": "1Mi"}, "limits": {"cpu": "2"}}
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources, **old}]}
    before = {"metadata": {"name": "p"}, "spec": spec, "status": {"qosClass": "Burstable"}}
    after = deepcopy(before)
    after["spec"]["containers"][0] |= to
    POD.strategy.prepare_update(after, before, "resize")
    schema.default(POD.definition, before)
    schema.default(POD.definition, after)
    return [str(cause) for cause in POD.strategy.validate_update(after, before, "resize")]


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ({"resources": {"requests": {"cpu": "2", "memory": "1Mi"}, "limits": {"cpu": "2"}}}, None),
        ({"image": "other"}, None),
        ({"name": "d"}, "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"),
        (
            {"resources": {"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "1", "memory": "1Mi"}}},
            'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
        ),
        (
            {"resources": {"requests": {"cpu": "1", "memory": "1Mi"}}},
            "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
        ),
        (
            {
                "resources": {
                    "requests": {"cpu": "1", "memory": "1Mi", "ephemeral-storage": "1"},
                    "limits": {"cpu": "2"},
                }
            },
            "spec: Forbidden: only cpu and memory resources are mutable",
        ),
    ],
)
def test_resize(to: Object, says: str | None) -> None:
    found = resized(to=to)
    assert (found == []) if says is None else says in found
