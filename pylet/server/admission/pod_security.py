"""A namespace's labels say how careful its pods have to be: what is enforced, what is warned of, what is noted.

A configuration says what holds where there are no labels, and who is exempt; without one, privileged, and nobody.
Source: pod-security-admission admission/admission.go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pylet.aio.prometheus import Counter
from pylet.api.errors import Forbidden, Invalid
from pylet.api.object import Key, Object, controller_of, dig
from pylet.client.view import Entry
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin
from pylet.version import MINOR

if TYPE_CHECKING:
    from pylet.api.configuration.admission import PodSecurity
    from pylet.api.podsecurity import Limit, Policy

_PREFIX = "pod-security.kubernetes.io/"
_ENFORCED, _EXEMPT = f"{_PREFIX}enforce-policy", f"{_PREFIX}exempt"
_WRITES = frozenset((CREATE, UPDATE))
_TEMPLATES = ("replicationcontrollers", "replicasets", "deployments", "statefulsets", "daemonsets", "jobs")
_POD_RESOURCES = ("pods", "pods/ephemeralcontainers", "pods/resize")
_EVALUATIONS = Counter(
    "pod_security_evaluations_total",
    "Of pods and what makes them: all that is enforced, and what is audited and warned of where it is denied.",
    ("decision", "mode", "policy_level", "policy_version", "request_operation", "resource", "subresource"),
)
_EXEMPTIONS = Counter(
    "pod_security_exemptions_total",
    "Of pods and what makes them: whose are not looked at.",
    ("request_operation", "resource", "subresource"),
)
_MOST_PODS = 3000
_MOST_SECONDS = 0.1  # upstream gives itself a second, but nobody waits for it


class _Namespaces:
    """`settings` is None where nothing is configured: what labels take is loaded with the first of them."""

    def __init__(self, settings: PodSecurity | None) -> None:
        self._settings = settings

    async def validate(self, write: Attributes) -> None:
        if write.kind.name == "Namespace":
            if not write.subresource:
                self._validate_namespace(write)
            return
        if (why := self._exemption(write)) is not None:
            _exempt(write, why)
            return
        is_pod, obj = write.kind.name == "Pod", write.obj
        entry = write.table("Namespace").entries.get(Key("", write.key.namespace))
        policy = None if entry is None else self._policy(entry.labels)
        if policy is None or (policy.is_privileged and not policy.problems):
            if is_pod:
                write.request.annotations[_ENFORCED] = "privileged:latest"
                _count("allow", "enforce", "privileged:latest", write)
            return
        assert obj is not None
        if is_pod:
            if write.old is None or _is_significant(obj["spec"], write.old["spec"]):
                self._evaluate(write, policy, obj["metadata"], obj["spec"])
        elif (template := _template_of(write.kind.name, obj)) is not None and policy.is_told:
            self._evaluate(write, policy, template.get("metadata") or {}, template.get("spec") or {})

    def _policy(self, labels: Mapping[str, str]) -> Policy | None:
        """None where neither labels nor a configuration say anything."""
        if self._settings is None and not any(name.startswith(_PREFIX) for name in labels):
            return None
        from pylet.api.podsecurity import PRIVILEGED, policy_of

        return policy_of(labels, PRIVILEGED if self._settings is None else self._settings.default)

    def _exemption(self, write: Attributes) -> str | None:
        if self._settings is None:
            return None
        if write.key.namespace in self._settings.namespaces:
            return "namespace"
        return "user" if write.user.name in self._settings.usernames else None

    def _is_exempt(self, spec: Object) -> bool:
        return self._settings is not None and spec.get("runtimeClassName") in self._settings.runtime_classes

    def _evaluate(self, write: Attributes, policy: Policy, metadata: Object, spec: Object) -> None:
        if self._is_exempt(spec):
            _exempt(write, "runtimeClass")
        else:
            _evaluate(write, policy, metadata, spec)

    def _validate_namespace(self, write: Attributes) -> None:
        assert write.obj is not None
        labels, name = write.obj["metadata"].get("labels") or {}, write.key.name
        before = {} if write.old is None else write.old["metadata"].get("labels") or {}
        if (policy := self._policy(labels)) is None:
            return
        old = self._policy(before) if write.old is not None else None
        if policy.problems and (old is None or old.problems != policy.problems):
            raise Invalid(write.kind.group, write.kind.name, name, policy.problems)
        is_stricter = old is None or (
            policy.enforce.minor != old.enforce.minor or policy.enforce.strictness > old.enforce.strictness
        )
        if write.old is not None and (policy.enforce.is_privileged or not is_stricter):
            return
        if self._settings is not None and name in self._settings.namespaces:
            write.warnings.extend(_ignored(name, policy, labels, self._settings.default))
        elif write.old is not None:
            pods = [
                entry
                for entry in write.table("Pod").in_namespace(name).values()
                if self._settings is None or not self._is_exempt(entry.object["spec"])
            ]
            write.warnings.extend(_warnings_of(name, policy.enforce, pods))


def _exempt(write: Attributes, why: str) -> None:
    write.request.annotations[_EXEMPT] = why
    _EXEMPTIONS.add(write.operation.lower(), "pod" if write.kind.name == "Pod" else "controller", write.subresource)


def _ignored(namespace: str, policy: Policy, labels: Mapping[str, str], default: Policy) -> Iterator[str]:
    """That an exempt namespace has labels which ask for something else than what holds everywhere."""
    if policy.is_privileged or policy.is_like(default):
        return
    limits = {"enforce": policy.enforce, "audit": policy.audit, "warn": policy.warn}
    told = (
        f"{mode}={limit}"
        for mode, limit in limits.items()
        if not limit.is_privileged and not {f"{_PREFIX}{mode}", f"{_PREFIX}{mode}-version"}.isdisjoint(labels)
    )
    yield f'namespace "{namespace}" is exempt from Pod Security, and the policy ({", ".join(told)}) will be ignored'


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
    yield from _EVALUATIONS.lines()
    yield from _EXEMPTIONS.lines()


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


def plugin(settings: PodSecurity | None = None) -> Plugin:
    return Plugin(
        "PodSecurity",
        dict.fromkeys((*_POD_RESOURCES, *_TEMPLATES, "podtemplates", "cronjobs", "namespaces"), _WRITES),
        validate=_Namespaces(settings).validate,
    )
