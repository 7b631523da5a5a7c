"""A namespace's labels say how careful its pods have to be: what is enforced, what is warned of, what is noted.

Source: pod-security-admission admission/admission.go; without exemptions, and privileged by default, as upstream comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pylet.aio.prometheus import Counter
from pylet.api.errors import Forbidden, Invalid
from pylet.api.object import Key, Object, controller_of, dig
from pylet.client.view import Entry
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin
from pylet.version import MINOR

if TYPE_CHECKING:
    from pylet.api.podsecurity import Limit, Policy

_PREFIX = "pod-security.kubernetes.io/"
_ENFORCED = f"{_PREFIX}enforce-policy"
_WRITES = frozenset((CREATE, UPDATE))
_TEMPLATES = ("replicationcontrollers", "replicasets", "deployments", "statefulsets", "daemonsets", "jobs")
_POD_RESOURCES = ("pods", "pods/ephemeralcontainers", "pods/resize")
_EVALUATIONS = Counter(
    "pod_security_evaluations_total",
    "Of pods and what makes them: all that is enforced, and what is audited and warned of where it is denied.",
    ("decision", "mode", "policy_level", "policy_version", "request_operation", "resource", "subresource"),
)
_MOST_PODS = 3000
_MOST_SECONDS = 0.1  # upstream gives itself a second, but nobody waits for it


async def validate(write: Attributes) -> None:
    if write.kind.name == "Namespace":
        if not write.subresource:
            _validate_namespace(write)
        return
    entry = write.table("Namespace").entries.get(Key("", write.key.namespace))
    if entry is None or not _is_labelled(entry.labels):
        if write.kind.name == "Pod":
            write.request.annotations[_ENFORCED] = "privileged:latest"
            _count("allow", "enforce", "privileged:latest", write)
        return
    from pylet.api.podsecurity import policy_of

    policy = policy_of(entry.labels)
    obj = write.obj
    assert obj is not None
    if write.kind.name == "Pod":
        if write.old is None or _is_significant(obj["spec"], write.old["spec"]):
            _evaluate(write, policy, obj["metadata"], obj["spec"])
    elif (template := _template_of(write.kind.name, obj)) is not None:
        _evaluate(write, policy, template.get("metadata") or {}, template.get("spec") or {})


def _is_labelled(labels: Iterable[str]) -> bool:
    return any(name.startswith(_PREFIX) for name in labels)


def _template_of(kind: str, obj: Object) -> Object | None:
    template: Object | None
    if kind == "PodTemplate":
        template = obj.get("template")
    elif kind == "CronJob":
        template = dig(obj, "spec", "jobTemplate", "spec", "template")
    else:
        template = dig(obj, "spec", "template")
    return template


def _is_significant(spec: Object, old: Object) -> bool:
    """Whether a pod's update may matter: a container or an image is another."""
    for field in ("containers", "initContainers"):
        now, before = spec.get(field) or (), old.get(field) or ()
        if [found.get("image") for found in now] != [found.get("image") for found in before]:
            return True
    debugging = {found["name"]: found.get("image") for found in old.get("ephemeralContainers") or ()}
    return any(
        found["name"] not in debugging or debugging[found["name"]] != found.get("image")
        for found in spec.get("ephemeralContainers") or ()
    )


def _evaluate(write: Attributes, policy: Policy, metadata: Object, spec: Object) -> None:
    from pylet.api.podsecurity import violations

    notes = write.request.annotations
    if policy.problems:
        said = ", ".join(map(str, policy.problems))
        notes[f"{_PREFIX}error"] = f"Failed to parse policy: {said if len(policy.problems) == 1 else f'[{said}]'}"
    refused = None
    if write.kind.name == "Pod":
        notes[_ENFORCED] = str(policy.enforce)
        refused = violations(policy.enforce, metadata, spec)
        _count("deny" if refused else "allow", "enforce", policy.enforce, write)
    if noted := violations(policy.audit, metadata, spec):
        _count("deny", "audit", policy.audit, write)
        notes[f"{_PREFIX}audit-violations"] = f'would violate PodSecurity "{policy.audit}": {noted}'
    if refused:
        why = f'violates PodSecurity "{policy.enforce}": {refused}'
        raise Forbidden(write.kind.group, write.kind.plural, write.key.name, why)
    if warned := violations(policy.warn, metadata, spec):
        _count("deny", "warn", policy.warn, write)
        write.warnings.append(f'would violate PodSecurity "{policy.warn}": {warned}')


def _count(decision: str, mode: str, limit: Limit | str, write: Attributes) -> None:
    level, _, version = str(limit).partition(":")
    if level == "privileged":
        version = "latest"  # it always means the same
    elif version != "latest" and int(version.partition(".")[2]) > int(MINOR):
        version = "future"  # anybody may name any
    what = "pod" if write.kind.name == "Pod" else "controller"
    _EVALUATIONS.add(decision, mode, level, version, write.operation.lower(), what, write.subresource)


def lines() -> Iterator[str]:
    """What was found so far, by upstream's names."""
    return _EVALUATIONS.lines()


def _validate_namespace(write: Attributes) -> None:
    assert write.obj is not None
    labels = write.obj["metadata"].get("labels") or {}
    if not _is_labelled(labels):
        return
    from pylet.api.podsecurity import policy_of

    policy = policy_of(labels)
    old = policy_of(write.old["metadata"].get("labels") or {}) if write.old is not None else None
    if policy.problems and (old is None or old.problems != policy.problems):
        raise Invalid(write.kind.group, write.kind.name, write.key.name, policy.problems)
    if old is None or policy.enforce == old.enforce or policy.enforce.is_privileged:
        return
    if policy.enforce.minor != old.enforce.minor or policy.enforce.strictness > old.enforce.strictness:
        pods = write.table("Pod").in_namespace(write.key.name)
        write.warnings.extend(_warnings_of(write.key.name, policy.enforce, list(pods.values())))


def _warnings_of(namespace: str, enforce: Limit, pods: list[Entry]) -> list[str]:
    """What of the pods that are there already would not be allowed any more."""
    from pylet.api.podsecurity import violations

    until = time.monotonic() + _MOST_SECONDS
    ordered = _one_of_each_first(pods)
    checked = 0
    found: dict[str, list[str]] = {}
    for entry in ordered[:_MOST_PODS]:
        checked += 1
        if bad := violations(enforce, entry.object["metadata"], entry.object["spec"]):
            found.setdefault(bad.reasons, []).append(entry.key.name)
        if time.monotonic() > until:
            break
    said = []
    if checked < len(pods):
        said.append(
            f"new PodSecurity enforce level only checked against the first {checked} of {len(pods)} existing pods"
        )
    if found:
        said.append(f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{enforce}"')
    return said + sorted(f"{_who(names)}: {reasons}" for reasons, names in found.items())


def _who(names: list[str]) -> str:
    more = len(names) - 1
    others = "" if not more else f" (and {more} other pod{'s' if more > 1 else ''})"
    return min(names) + others


def _one_of_each_first(pods: list[Entry]) -> list[Entry]:
    """Pods of one controller are alike, so that its others come last."""
    first: list[Entry] = []
    others: list[Entry] = []
    seen: set[str] = set()
    for entry in pods:
        owner = controller_of(entry.object) if entry.owner_uids else None
        (others if owner is not None and owner["uid"] in seen else first).append(entry)
        if owner is not None:
            seen.add(owner["uid"])
    return first + others


PLUGIN = Plugin(
    "PodSecurity",
    dict.fromkeys((*_POD_RESOURCES, *_TEMPLATES, "podtemplates", "cronjobs", "namespaces"), _WRITES),
    validate=validate,
)
