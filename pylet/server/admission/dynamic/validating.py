"""ValidatingAdmissionPolicies: what they decide, and what is done about it.

Source: apiserver pkg/admission/plugin/policy/validating/{validator,dispatcher,policy_decision}.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from time import perf_counter
from typing import Any

import orjson

from pylet.api.cel import types as t
from pylet.api.cel.program import Budget
from pylet.api.errors import Forbidden, RemoteError
from pylet.api.object import Object
from pylet.server.admission.dynamic import counted
from pylet.server.admission.dynamic.asked import Asked
from pylet.server.admission.dynamic.cluster import Cluster
from pylet.server.admission.dynamic.expressions import Expression, Failed, Spent, evaluated
from pylet.server.admission.dynamic.policies import Binding, Policy, invocations, is_exempt, values_of
from pylet.server.admission.interface import Attributes

_INVALID = "Invalid"
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}
_UNPROCESSABLE = 422
_MESSAGE_BYTES = 5 << 10
_ANNOTATION_BYTES = 10 << 10
_FAILURE = "validation.policy.admission.k8s.io/validation_failure"
_DENY, _AUDIT, _WARN = "Deny", "Audit", "Warn"


@dataclass(frozen=True, slots=True)
class Denial:
    """What one validation says against a write; `reason` "" where it failed rather than said no."""

    index: int
    message: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    expression: Expression
    told: Expression | None
    message: str
    reason: str

    def says(self, values: dict[str, Any], budget: Budget) -> str:
        """Why the write is denied. Raises: Spent."""
        found: Any = ""
        if self.told is not None:
            try:
                found = self.told.value(values, budget)
            except Failed:
                found = ""
        text = found.strip() if type(found) is str else ""
        if len(text.encode()) > _MESSAGE_BYTES or "\n" in text:
            text = ""
        return text or self.message.strip() or f"failed expression: {self.expression.source.strip()}"


@dataclass(frozen=True)
class ValidatingPolicy(Policy):
    """With its expressions, compiled."""

    @cached_property
    def validations(self) -> list[Validation]:
        environment = self.variables.environment(self.environment())
        telling = self.variables.environment(self.environment(authorizer=False))
        return [
            Validation(
                Expression(one["expression"], environment, (t.BOOL,)),
                Expression(one["messageExpression"], telling, (t.STRING,)) if one.get("messageExpression") else None,
                one.get("message") or "",
                one.get("reason") or _INVALID,
            )
            for one in self.spec.get("validations") or ()
        ]

    @cached_property
    def annotations(self) -> list[tuple[str, Expression]]:
        environment = self.variables.environment(self.environment())
        found = self.spec.get("auditAnnotations") or ()
        return [(one["key"], Expression(one["valueExpression"], environment, (t.STRING, t.NULL))) for one in found]

    def judge(self, values: dict[str, Any], operation: str) -> tuple[list[Denial], dict[str, str], list[str]]:
        """What is said against the write, audit annotations, and why there are fewer of them than asked for.

        What fails is said against the write only where failing is not to be ignored.
        """
        try:
            if self.conditions is not None:
                with counted.evaluating(self.name, "policy", "validate", operation, Failed):
                    if not self.conditions.hold(values):
                        return [], {}, []
            budget = Budget()
            denials = self._denials(self.variables.bind(values, budget), budget)
            return denials, *self._annotated(values)
        except (Failed, Spent) as failed:
            return ([] if self.ignores_failure else [Denial(0, str(failed))]), {}, []

    def _denials(self, values: dict[str, Any], budget: Budget) -> list[Denial]:
        found: list[Denial] = []
        for index, validation in enumerate(self.validations):
            try:
                if validation.expression.value(values, budget) is True:
                    continue
            except Failed as failed:
                if not self.ignores_failure:
                    found.append(Denial(index, str(failed)))
                continue
            try:
                found.append(Denial(index, validation.says(values, budget), validation.reason))
            except Spent as spent:
                if not self.ignores_failure:
                    found.append(Denial(index, f"failed messageExpression: {spent}"))
        return found

    def _annotated(self, values: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
        budget = Budget()
        values = self.variables.bind(values, budget)
        found: dict[str, str] = {}
        problems: list[str] = []
        for key, expression in self.annotations:
            try:
                value = expression.value(values, budget)
            except Failed as failed:
                if not self.ignores_failure:
                    problems.append(str(failed))
                continue
            if value is not None and value.strip():
                found[key] = value.strip().encode()[:_ANNOTATION_BYTES].decode(errors="ignore")
        return found, problems


async def validate(write: Attributes, policies: Sequence[ValidatingPolicy], cluster: Cluster) -> None:
    """Raises: ApiError."""
    asked = Asked(write, cluster)
    if is_exempt(asked):
        return
    found, problems = await invocations(asked, policies, cluster)
    denied: list[tuple[Policy, Binding | None, Denial]] = [
        (problem.policy, problem.binding, Denial(0, problem.message))
        for problem in problems
        if not problem.policy.ignores_failure
    ]
    collected: dict[str, list[str]] = {}
    for invocation in found:
        policy, binding = invocation.policy, invocation.binding
        assert isinstance(policy, ValidatingPolicy)
        values, began = await values_of(asked, invocation, cluster), perf_counter()
        denials, annotations, unannotated = await evaluated(partial(policy.judge, values, write.operation))
        for denial in denials:
            for action in binding.spec.get("validationActions") or ():
                took = perf_counter() - began
                counted.checked(policy.name, binding.name, action, took, denial.message)
            if _acted(write, policy, binding, denial):
                denied.append((policy, binding, denial))
        denied += [(policy, binding, Denial(0, why)) for why in unannotated]
        for key, value in annotations.items():
            told = collected.setdefault(f"{policy.name}/{key}", [])
            if value not in told:
                told.append(value)
    for key, told in collected.items():
        write.request.annotations.setdefault(key, ", ".join(told))
    if denied:
        raise _refusal(asked, *denied[0])


def _acted(write: Attributes, policy: Policy, binding: Binding, denial: Denial) -> bool:
    """Do what the binding wants done about it; whether it wants the write refused."""
    actions = binding.spec.get("validationActions") or ()
    if _AUDIT in actions:
        told = {
            "message": denial.message,
            "policy": policy.name,
            "binding": binding.name,
            "expressionIndex": denial.index,
            "validationActions": list(actions),
        }
        write.request.annotations.setdefault(_FAILURE, orjson.dumps([told]).decode())
    if _WARN in actions:
        says = f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}'"
        write.request.warnings.append(f"{says}: {denial.message}")
    return _DENY in actions


def _refusal(asked: Asked, policy: Policy, binding: Binding | None, denial: Denial) -> RemoteError:
    bound = f" with binding '{binding.name}'" if binding is not None else ""
    message = f"ValidatingAdmissionPolicy '{policy.name}'{bound} denied request: {denial.message}"
    status: Object = forbidden(asked, message).status()
    reason = denial.reason or _INVALID
    status["details"] = {**status["details"], "causes": [{"message": message}]}
    return RemoteError({**status, "reason": reason, "code": _CODES.get(reason, _UNPROCESSABLE)})


def forbidden(asked: Asked, message: str) -> Forbidden:
    resource = asked.resource
    return Forbidden(resource.group, resource.plural, asked.write.named or asked.write.name or "Unknown", message)
