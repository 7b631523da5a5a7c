"""MutatingAdmissionPolicies: how their expressions change an object.

Source: apiserver pkg/admission/plugin/policy/mutating (dispatcher.go, patch), policy/generic/policy_dispatcher.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any

import orjson

from pylet.api.cel import types as t
from pylet.api.cel.environment import JSON_PATCH, OBJECT, to_json
from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.program import Budget
from pylet.api.cel.values import Struct
from pylet.api.errors import ApiError, RemoteError, ServiceUnavailable
from pylet.api.object import Object
from pylet.api.patch import BadPatch, TooLarge, Unprocessable, checking, json_patch, typed
from pylet.api.patch import Failed as PatchFailed
from pylet.api.patch.shape import DEDUCED, Form, Shape
from pylet.server.admission.dynamic import counted
from pylet.server.admission.dynamic.asked import Asked
from pylet.server.admission.dynamic.cluster import Cluster
from pylet.server.admission.dynamic.expressions import Expression, Failed, Spent, evaluated
from pylet.server.admission.dynamic.policies import Invocation, Policy, Problem, invocations, is_exempt, values_of
from pylet.server.admission.dynamic.reinvoking import Invoked
from pylet.server.admission.dynamic.validating import forbidden
from pylet.server.admission.interface import Attributes

NAME = "MutatingAdmissionPolicy"
_APPLY = "ApplyConfiguration"
_INVALID = "Invalid"


@dataclass(frozen=True)
class MutatingPolicy(Policy):
    """With its expressions, compiled."""

    @cached_property
    def mutations(self) -> list[tuple[str, Expression]]:
        """Each with its patchType."""
        environment = self.variables.environment(self.environment(patches=True))
        found: list[tuple[str, Expression]] = []
        for mutation in self.spec["mutations"]:
            if mutation["patchType"] == _APPLY:
                source, expect = mutation["applyConfiguration"]["expression"], OBJECT
            else:
                source, expect = mutation["jsonPatch"]["expression"], t.list_of(JSON_PATCH)
            found.append((mutation["patchType"], Expression(source, environment, (expect,))))
        return found


async def mutate(write: Attributes, policies: Sequence[MutatingPolicy], cluster: Cluster) -> None:
    """Raises: ApiError."""
    asked = Asked(write, cluster)
    if is_exempt(asked):
        return
    found, problems = await invocations(asked, policies, cluster)
    if found:
        invoked = write.reinvocation.notes.setdefault(NAME, Invoked())
        invoked.begin(write)
        for invocation in found:
            problems += await _invoked(asked, invocation, invoked, cluster)
        invoked.end(write)
    if failed := [problem for problem in problems if not problem.policy.ignores_failure]:
        raise _refusal(asked, failed)


async def _invoked(asked: Asked, invocation: Invocation, invoked: Invoked, cluster: Cluster) -> list[Problem]:
    policy, binding, write = invocation.policy, invocation.binding, asked.write
    assert isinstance(policy, MutatingPolicy)
    values = await values_of(asked, invocation, cluster)
    try:
        conditions = policy.conditions
        if conditions is not None:
            with counted.evaluating(policy.name, "policy", "validate", write.operation, Failed):
                if not await evaluated(lambda: conditions.hold(values)):
                    return []
    except Failed as failed:
        return [] if policy.ignores_failure else [Problem(policy, binding, str(failed), _INVALID)]
    parameters = (invocation.parameters or {}).get("metadata") or {}
    key = policy.name, binding.name, parameters.get("namespace"), parameters.get("name")
    if invoked.skips(write, key):
        return []
    before = orjson.dumps(write.obj, option=orjson.OPT_SORT_KEYS)
    problems: list[Problem] = []
    for type_, expression in policy.mutations:
        if write.obj is None:
            break
        began = perf_counter()
        try:
            await _mutated(asked, invocation, type_, expression, values, cluster)
            counted.mutated(policy.name, binding.name, perf_counter() - began)
        except (Failed, Spent) as failed:
            counted.mutated(policy.name, binding.name, perf_counter() - began, str(failed))
            problems.append(Problem(policy, binding, str(failed), _INVALID))
            continue
        values = await values_of(asked, invocation, cluster)
    if orjson.dumps(write.obj, option=orjson.OPT_SORT_KEYS) != before:
        invoked.renew()
        write.reinvocation.is_wanted = True
    if policy.spec.get("reinvocationPolicy") == "IfNeeded":
        invoked.candidates.add(key)
    return problems


async def _mutated(
    asked: Asked, invocation: Invocation, type_: str, expression: Expression, values: dict[str, Any], cluster: Cluster
) -> None:
    """Raises: Failed, Spent, ApiError."""
    if expression.program is None:
        raise Failed(expression.error)
    match, policy = invocation.match, invocation.policy
    kind = asked.kind_of(match)
    if kind is None:
        says = "There can be a delay between when CustomResourceDefinitions are created and when they are available."
        raise ServiceUnavailable(f"Resource kind {match.kind} not found. {says}")

    def evaluate() -> Any:
        budget = Budget()
        return expression.value(policy.variables.bind(values, budget), budget)

    value = await evaluated(evaluate)
    live: Object = values["object"]
    made = _applied(live, value, cluster.shape(kind)) if type_ == _APPLY else _patched(live, value)
    if made != live:
        await asked.replace(match, orjson.loads(orjson.dumps(made)), strict=True)


# ---- patches


def _applied(live: Object, value: Struct, shape: Shape) -> Object:
    """`live` with an apply configuration merged into it. Raises: Failed."""
    _check_types(value)
    config = {**_json(value), "apiVersion": live["apiVersion"], "kind": live["kind"]}
    says = "error applying patch: "
    try:
        checking.check(config, shape)
    except checking.Misfit as misfit:
        raise Failed(f"{says}failed to convert patch object to typed object: {misfit}") from misfit
    if atomic := list(_atomics(config, shape, "")):
        why = f"may not mutate atomic arrays, maps or structs: {', '.join(atomic)}"
        raise Failed(f"{says}invalid ApplyConfiguration: {why}")
    merged: Object = typed.merge(live, config, shape)
    return merged


def _atomics(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Where a configuration would replace a list or an object as a whole."""
    if isinstance(value, dict | list) and shape.form is Form.LEAF and shape.takes is not None:
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _atomics(inner, shape.child(name) or DEDUCED, f"{path}.{name}")
    elif isinstance(value, list) and shape.item is not None:
        for index, inner in enumerate(value):
            yield from _atomics(inner, shape.item, f"{path}[{index}]")


def _patched(live: Object, value: list[Struct]) -> Object:
    """`live` with JSONPatch objects applied; as it was when a test among them fails. Raises: Failed."""
    operations = []
    for operation in value:
        if isinstance(operation.get("value"), Struct):
            _check_types(operation["value"])
        operations.append({"op": "", "path": "", **_json(operation)})
    try:
        return json_patch.apply(live, operations)
    except (BadPatch, TooLarge, PatchFailed, Unprocessable) as bad:
        if str(bad).endswith("test failed"):
            return live
        raise Failed(f"JSON Patch: {bad}") from bad


def _json(value: Struct) -> Object:
    try:
        made: Object = to_json(value)
    except EvaluationError as bad:
        raise Failed(f"JSONPath valueExpression evaluated to a type that could not marshal to JSON: {bad}") from bad
    return made


def _check_types(value: Struct) -> None:
    """Raises: Failed, when an object is not of the type that its place in the whole asks for."""
    if problems := list(_mistyped(value, value.name)):
        raise Failed("type mismatch: " + "\n".join(problems))


def _mistyped(value: Any, path: str) -> Iterator[str]:
    match value:
        case Struct():
            if value.name != path:
                says = f'unexpected type name "{value.name}", expected "{path}"'
                yield f"{says}, which matches field name path from root Object type"
            for name, inner in value.items():
                yield from _mistyped(inner, f"{path}.{name}")
        case dict():
            for inner in value.values():
                yield from _mistyped(inner, path)
        case list():
            for inner in value:
                yield from _mistyped(inner, path)


def _refusal(asked: Asked, problems: Sequence[Problem]) -> ApiError:
    status = forbidden(asked, "").status()
    messages = [_worded(problem) for problem in problems]
    status["details"] = {**status["details"], "causes": [{"message": message} for message in messages]}
    return RemoteError({**status, "message": messages[0], "reason": problems[0].reason or status["reason"]})


def _worded(problem: Problem) -> str:
    if problem.binding is None:
        return f'policy "{problem.policy.name}" denied request: {problem.message}'
    return f"policy '{problem.policy.name}' with binding '{problem.binding.name}' denied request: {problem.message}"
