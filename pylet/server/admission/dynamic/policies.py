"""Policies with their bindings, and which of them, with which parameters, a write has to pass.

Source: apiserver pkg/admission/plugin/policy/generic/{policy_source,policy_dispatcher}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from pylet.api import selector
from pylet.api.cel.environment import Environment, admission, bindings
from pylet.api.errors import ApiError
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.admission.dynamic.asked import Asked, Gvk, Match, request_of
from pylet.server.admission.dynamic.cluster import Cluster
from pylet.server.admission.dynamic.expressions import Composed, Conditions
from pylet.server.admission.dynamic.matching import Constraints

_REVIEWS = ("authentication.k8s.io", "authorization.k8s.io")


class Misconfigured(Exception):
    """The policy or the binding cannot do what it says."""


@dataclass(frozen=True)
class Binding:
    name: str
    spec: Object

    @cached_property
    def constraints(self) -> Constraints | None:
        found = self.spec.get("matchResources")
        return None if found is None else Constraints.of(found)

    @property
    def parameters(self) -> Object | None:
        found: Object | None = self.spec.get("paramRef")
        return found


@dataclass(frozen=True)
class Policy:
    """What policies of both kinds have; expressions are compiled when the first write asks for them."""

    name: str
    spec: Object
    bound: list[Binding] = field(default_factory=list)

    @property
    def ignores_failure(self) -> bool:
        return bool(self.spec.get("failurePolicy") == "Ignore")

    @cached_property
    def constraints(self) -> Constraints:
        return Constraints.of(self.spec.get("matchConstraints") or {})

    @cached_property
    def parameters(self) -> Gvk | None:
        found = self.spec.get("paramKind")
        if found is None:
            return None
        group, _, version = found["apiVersion"].rpartition("/")
        return Gvk(group, version, found["kind"])

    def environment(self, *, authorizer: bool = True, patches: bool = False) -> Environment:
        return admission(params=self.parameters is not None, authorizer=authorizer, patches=patches)

    @cached_property
    def variables(self) -> Composed:
        return Composed(self.spec.get("variables") or (), self.environment())

    @cached_property
    def conditions(self) -> Conditions | None:
        found = self.spec.get("matchConditions")
        return Conditions(found, self.environment(), self.variables) if found else None


class Problem(NamedTuple):
    """What is wrong with a policy, or with one of its bindings."""

    policy: Policy
    binding: Binding | None
    message: str
    reason: str = ""


class Invocation(NamedTuple):
    """A policy to be asked, with one set of parameters."""

    policy: Policy
    binding: Binding
    match: Match
    parameters: Object | None


class Policies:
    """All of one kind: `of` compiles again only what has changed since."""

    def __init__(self, make: Callable[[str, Object], Policy]) -> None:
        self._make = make
        self._made: dict[str, tuple[int, Policy]] = {}

    def of(self, policies: Iterable[Entry], bound: Iterable[Entry]) -> list[Policy]:
        """Those that are bound, in the order of names."""
        found = {entry.key.name: entry for entry in policies}
        made: dict[str, tuple[int, Policy]] = {}
        for binding in sorted(bound, key=lambda entry: entry.key.name):
            spec = binding.object["spec"]
            entry = found.get(spec["policyName"])
            if entry is None:
                continue
            if entry.key.name not in made:
                made[entry.key.name] = entry.revision, self._policy(entry)
            made[entry.key.name][1].bound.append(Binding(binding.key.name, spec))
        self._made = made
        return [made[name][1] for name in sorted(made)]

    def _policy(self, entry: Entry) -> Policy:
        revision, policy = self._made.get(entry.key.name, (None, None))
        if policy is None or revision != entry.revision:
            return self._make(entry.key.name, entry.object["spec"])
        policy.bound.clear()
        return policy


def is_exempt(asked: Asked) -> bool:
    """Policies see neither policies, though webhooks' configurations, nor what authorizes those who could repair them.

    Source: apiserver pkg/admission/plugin/policy/generic/plugin.go.
    """
    return (asked.is_config and "AdmissionPolicy" in asked.resource.name) or asked.resource.group in _REVIEWS


async def invocations(
    asked: Asked, policies: Iterable[Policy], cluster: Cluster
) -> tuple[list[Invocation], list[Problem]]:
    found: list[Invocation] = []
    problems: list[Problem] = []
    for policy in policies:
        try:
            match = policy.constraints.match(asked)
            if match is None:
                continue
            _check_parameters(policy, cluster)
        except (ApiError, Misconfigured) as bad:
            problems.append(Problem(policy, None, f"failed to configure policy: {bad}"))
            continue
        for binding in policy.bound:
            try:
                if not _is_bound(binding, asked):
                    continue
                parameters = await _parameters(policy, binding, asked.namespace, cluster)
            except (ApiError, Misconfigured) as bad:
                problems.append(Problem(policy, binding, f"failed to configure binding: {bad}"))
                continue
            found += [Invocation(policy, binding, match, one) for one in parameters]
    return found, problems


def _is_bound(binding: Binding, asked: Asked) -> bool:
    return binding.constraints is None or binding.constraints.match(asked, without_rules=True) is not None


def _check_parameters(policy: Policy, cluster: Cluster) -> None:
    kind = policy.parameters
    if kind is not None and cluster.kinds.by_kind(*kind) is None:
        raise Misconfigured(f"failed to find resource referenced by paramKind: '{kind}'")


async def _parameters(policy: Policy, binding: Binding, namespace: str, cluster: Cluster) -> list[Object | None]:
    """The objects to ask the policy with; None once where it is asked without. Raises: Misconfigured, ApiError."""
    ref = binding.parameters
    if policy.parameters is None or ref is None:
        return [None]
    kind = cluster.kinds.by_kind(*policy.parameters)
    assert kind is not None
    where = ref.get("namespace") or ""
    if not kind.namespaced and where:
        raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    if kind.namespaced and not where:
        where = namespace
        if not where:
            raise Misconfigured(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
    table = await cluster.table(kind.stored_as or kind)
    if ref.get("name"):
        entry = table.entries.get(Key(where, ref["name"]))
        entries = [] if entry is None else [entry]
    else:
        selects = selector.from_object(ref.get("selector"))
        entries = [entry for entry in table.in_namespace(where).values() if selects(entry.labels)]
    if not entries and ref.get("parameterNotFoundAction") == "Deny":
        raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
    return [entry.object if kind.stored_as is None else kind.from_stored(entry.object) for entry in entries]


async def values_of(asked: Asked, invocation: Invocation, cluster: Cluster) -> dict[str, Any]:
    """What the policy's expressions see, but for its variables. Raises: ApiError."""
    obj, old = await asked.objects(invocation.match)
    is_namespace = asked.resource.resource == "namespaces"
    return bindings(
        obj=obj,
        old=old,
        request=request_of(asked, invocation.match),
        namespace=None if is_namespace or not asked.namespace else asked.namespace_object(),
        params=invocation.parameters,
        ask=cluster.ask(asked.write.user),
    )
