"""Namespaces and what governs them: quotas, disruption budgets, priorities."""

from __future__ import annotations

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import number, switch, text
from pylet.cli.kubectl.creating.maker import Maker, Request, obj
from pylet.cli.kubectl.making import labels_of


def _namespace(request: Request) -> Object:
    return obj("v1", "Namespace", request.name, spec={}, status={})


def _quota(request: Request) -> Object:
    spec: Object = {}
    if request.options["hard"]:
        spec["hard"] = dict(map(_bound, request.options["hard"].split(",")))
    if request.options["scopes"]:
        spec["scopes"] = request.options["scopes"].split(",")
    return obj("v1", "ResourceQuota", request.name, spec=spec, status={})


def _bound(text_: str) -> tuple[str, str]:
    name, *amount = text_.split("=")
    if len(amount) != 1:
        raise Failure(f"error: Invalid argument syntax {text_}, expected <resource>=<value>")
    return name, amount[0]


def _budget(request: Request) -> Object:
    if not request.options["selector"]:
        raise Failure("error: a selector must be specified")
    limits = {"minAvailable": request.options["min_available"], "maxUnavailable": request.options["max_unavailable"]}
    given = {field: int(value) if value.isdigit() else value for field, value in limits.items() if value}
    if not given:
        raise Failure("error: one of min-available or max-unavailable must be specified")
    if len(given) > 1:
        raise Failure("error: min-available and max-unavailable cannot be both specified")
    spec = {**given, "selector": {"matchLabels": labels_of(request.options["selector"])}}
    status = dict.fromkeys(("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"), 0)
    return obj("policy/v1", "PodDisruptionBudget", request.name, spec=spec, status=status)


def _priority(request: Request) -> Object:
    given = request.options
    more: Object = {"value": given["value"], "preemptionPolicy": given["preemption_policy"]}
    if given["global_default"]:
        more["globalDefault"] = True
    if given["description"]:
        more["description"] = given["description"]
    return obj("scheduling.k8s.io/v1", "PriorityClass", request.name, **more)


MAKERS = (
    Maker(("namespace", "ns"), _namespace),
    Maker(
        ("quota", "resourcequota"),
        _quota,
        (text("hard", help="RESOURCE=QUANTITY,…"), text("scopes", help="What it counts.")),
        failing="failed to create quota:",
    ),
    Maker(
        ("poddisruptionbudget", "pdb"),
        _budget,
        (
            text("selector", help="Labels of the pods."),
            text("min-available", help="How many there must stay, or what share."),
            text("max-unavailable", help="How many may be missing, or what share."),
        ),
        failing="failed to create poddisruptionbudgets:",
    ),
    Maker(
        ("priorityclass", "pc"),
        _priority,
        (
            number("value", help="The priority."),
            switch("global-default", help="For pods that name none."),
            text("description", help="When to use it."),
            text("preemption-policy", default="PreemptLowerPriority", help="PreemptLowerPriority or Never."),
        ),
        failing="failed to create priorityclass:",
    ),
)
