"""The authorizer variable of admission: Kubernetes' library/authz.go.

Expressions only build questions; whoever evaluates them gives the `Ask` that answers one.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pylet.api.cel.functions import Functions, declare
from pylet.api.cel.types import Type, opaque

CHECK_COST = 350_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a path, or a resource; `service_account` is (namespace, name), None for the request's user."""

    verb: str = ""
    path: str | None = None
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    service_account: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.authorization.Decision")
    allowed: bool
    reason: str = ""
    error: str = ""


class Unanswered(Exception):
    """Who evaluates has to await `answer`, and then to begin again: somebody elsewhere has to be asked."""

    def __init__(self, answer: Callable[[], Awaitable[None]]) -> None:
        super().__init__("a question to the authorizer has no answer yet")
        self.answer = answer


Ask = Callable[[Question], Decision]
"""Raises: Unanswered."""


@dataclass(frozen=True, slots=True)
class Authorizer:
    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.authorization.Authorizer")
    ask: Ask
    question: Question = Question()


@dataclass(frozen=True, slots=True)
class PathCheck:
    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.authorization.PathCheck")
    ask: Ask
    question: Question


@dataclass(frozen=True, slots=True)
class GroupCheck:
    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.authorization.GroupCheck")
    ask: Ask
    question: Question


@dataclass(frozen=True, slots=True)
class ResourceCheck:
    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.authorization.ResourceCheck")
    ask: Ask
    question: Question


def _check(checked: PathCheck | ResourceCheck, verb: str) -> Decision:
    return checked.ask(replace(checked.question, verb=verb))


def _selector_cost(_: ResourceCheck, selector: str) -> int:
    return 10 + math.ceil(len(selector) * 0.1) + math.ceil(math.ceil(len(selector) * 0.5) * 50)


def resource_check(ask: Ask, question: Question) -> ResourceCheck:
    """`authorizer.requestResource`."""
    return ResourceCheck(ask, question)


def declare_library(functions: Functions) -> None:
    prefix = "kubernetes.authorization."
    who, path, group = f"{prefix}Authorizer", f"{prefix}PathCheck", f"{prefix}GroupCheck"
    resource, decision = f"{prefix}ResourceCheck", f"{prefix}Decision"

    def refine(field: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
        def refined(check: ResourceCheck, value: str) -> ResourceCheck:
            change: dict[str, Any] = {field: value}
            return ResourceCheck(check.ask, replace(check.question, **change))

        return refined

    declare(
        functions,
        f"{who} -> path(string): {path}",
        lambda one, value: PathCheck(one.ask, replace(one.question, path=value)),
    )
    declare(
        functions,
        f"{who} -> group(string): {group}",
        lambda one, value: GroupCheck(one.ask, replace(one.question, group=value)),
    )
    declare(
        functions,
        f"{who} -> serviceAccount(string, string): {who}",
        lambda one, namespace, name: Authorizer(one.ask, replace(one.question, service_account=(namespace, name))),
    )
    declare(functions, f"{group} -> resource(string): {resource}", refine("resource"))
    for name in ("subresource", "namespace", "name"):
        declare(functions, f"{resource} -> {name}(string): {resource}", refine(name))
    declare(functions, f"{resource} -> fieldSelector(string): {resource}", refine("field_selector"), _selector_cost)
    declare(functions, f"{resource} -> labelSelector(string): {resource}", refine("label_selector"), _selector_cost)
    for kind in (path, resource):
        declare(functions, f"{kind} -> check(string): {decision}", _check, lambda *_: CHECK_COST)
    declare(functions, f"{decision} -> allowed(): bool", lambda one: one.allowed)
    declare(functions, f"{decision} -> reason(): string", lambda one: one.reason)
    declare(functions, f"{decision} -> error(): string", lambda one: one.error)
    declare(functions, f"{decision} -> errored(): bool", lambda one: one.error != "")
