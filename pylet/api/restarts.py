"""Whether a container that ended is to run again: its own rules, its own policy, then the pod's. Pure.

Source: upstream `pkg/api/v1/pod/util.go` (ContainerShouldRestart, AllContainersCouldRestart).
"""

from __future__ import annotations

from pylet.api.containers import planned
from pylet.api.object import Object

RESTART_ALL = "RestartAllContainers"


def restarts(spec: Object, container: Object, exit_code: int) -> bool:
    own = container.get("restartPolicy")
    if own and any(_matches(rule, exit_code) for rule in container.get("restartPolicyRules") or ()):
        return True
    policy = own or spec.get("restartPolicy") or "Always"
    return bool(policy == "Always" or (policy == "OnFailure" and exit_code != 0))


def restarts_all(container: Object, exit_code: int) -> bool:
    """Whether that end of the container makes all of the pod begin anew: the first rule that matches decides."""
    actions = (rule["action"] for rule in container.get("restartPolicyRules") or () if _matches(rule, exit_code))
    return next(actions, None) == RESTART_ALL


def all_could_restart(spec: Object) -> bool:
    """Whether the end of some container may start all of them again."""
    return any(
        rule.get("action") == RESTART_ALL
        for container in planned(spec)
        for rule in container.get("restartPolicyRules") or ()
    )


def _matches(rule: Object, exit_code: int) -> bool:
    """Whether a restart rule asks for a restart; both of its actions do."""
    codes = rule.get("exitCodes") or {}
    return bool((exit_code in (codes.get("values") or ())) == (codes.get("operator") == "In"))
