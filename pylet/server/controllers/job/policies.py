"""What a Job says of who manages it, of its pods' failures and of when it has succeeded enough.

Source: upstream `pkg/controller/job/pod_failure_policy.go`, success_policy.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pylet.api.indexes import Indexes
from pylet.api.object import Object, conditions_of, dig

_OURS = "kubernetes.io/job-controller"


def is_managed_by_others(job: Object) -> bool:
    return job["spec"].get("managedBy") not in (None, _OURS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a failure counts towards the back-off limit; a `message` where the whole Job fails by it.

    `action` is that of the rule, if there is one.
    """

    counts: bool = True
    message: str = ""
    fails_index: bool = False
    action: str = ""


def judge(job: Object, pod: Object) -> Verdict:
    """The first rule of the pod failure policy that matches decides."""
    for position, rule in enumerate(dig(job, "spec", "podFailurePolicy", "rules", default=())):
        reason = _exit_code(rule["onExitCodes"], pod) if rule.get("onExitCodes") else _condition(rule, pod)
        if not reason:
            continue
        match action := rule["action"]:
            case "Ignore":
                return Verdict(counts=False, action=action)
            case "FailIndex":
                return Verdict(fails_index=True, action=action)
            case "FailJob":
                return Verdict(message=f"{reason} matching FailJob rule at index {position}", action=action)
        return Verdict(action=action)
    return Verdict()


def _exit_code(asked: Object, pod: Object) -> str:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    for field in ("containerStatuses", "initContainerStatuses"):
        for status in dig(pod, "status", field, default=()):
            code = dig(status, "state", "terminated", "exitCode", default=0)
            is_meant = asked.get("containerName") in (None, status["name"])
            if code and is_meant and (code in asked["values"]) == (asked["operator"] == "In"):
                return f"Container {status['name']} for pod {namespace}/{name} failed with exit code {code}"
    return ""


def _condition(rule: Object, pod: Object) -> str:
    patterns = [(pattern["type"], pattern["status"]) for pattern in rule.get("onPodConditions") or ()]
    for condition in conditions_of(pod):
        if (condition["type"], condition["status"]) in patterns:
            meta = pod["metadata"]
            return f"Pod {meta['namespace']}/{meta['name']} has condition {condition['type']}"
    return ""


def success_rule(job: Object, succeeded: Indexes) -> str:
    """Which rule of the success policy is met; empty for none."""
    if not len(succeeded):
        return ""
    rules: Iterable[Object] = dig(job, "spec", "successPolicy", "rules", default=())
    for position, rule in enumerate(rules):
        count, needed = rule.get("succeededCount"), len(succeeded)
        if rule.get("succeededIndexes"):
            required = Indexes.parse(rule["succeededIndexes"], job["spec"]["completions"])
            met = len(required & succeeded)
            if len(required) and (met == len(required) or (count is not None and met >= count)):
                return f"Matched rules at index {position}"
        elif count is not None and needed >= count:
            return f"Matched rules at index {position}"
    return ""
