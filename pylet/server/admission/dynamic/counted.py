"""What webhooks and policies cost and refuse, each by its name. What is not configured is not told.

Source: apiserver pkg/admission/metrics, pkg/admission/plugin/policy/validating/metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from pylet.aio.prometheus import Counter, Histogram
from pylet.api.errors import ApiError
from pylet.server import spent
from pylet.server.admission.dynamic.review import Unusable
from pylet.server.webhooks import WebhookFailed

_HOOK = "apiserver_admission_webhook_"
_POLICY = "apiserver_validating_admission_policy_check_"
_OF_CHECK = ("policy", "policy_binding", "error_type", "enforcement_action")
_SECONDS = Histogram(
    f"{_HOOK}admission_duration_seconds",
    "Asking webhooks.",
    ("name", "operation", "rejected", "type"),
    (0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25),
)
_REQUESTS = Counter(f"{_HOOK}request_total", "Webhooks asked.", ("name", "type", "operation", "code", "rejected"))
_REJECTIONS = Counter(
    f"{_HOOK}rejection_count",
    "Writes that webhooks refused, or could not be asked about.",
    ("name", "type", "operation", "error_type", "rejection_code"),
)
_OPEN = Counter(f"{_HOOK}fail_open_count", "Writes that went on without a webhook that failed.", ("name", "type"))
_CHECKS = Counter(f"{_POLICY}total", "What policies found, by what was done about it.", _OF_CHECK)
_CHECK_SECONDS = Histogram(f"{_POLICY}duration_seconds", "Finding it.", _OF_CHECK, (5e-7, 0.001, 0.01, 0.1, 1))
_OF_MUTATION = ("policy", "policy_binding", "error_type")
_MUTATION = "apiserver_mutating_admission_policy_check_"
_MUTATIONS = Counter(f"{_MUTATION}total", "What policies changed, or could not.", _OF_MUTATION)
_MUTATION_SECONDS = Histogram(f"{_MUTATION}duration_seconds", "Changing it.", _OF_MUTATION, (5e-7, 0.001, 0.01, 0.1, 1))
_CONDITION, _OF_CONDITION = "apiserver_admission_match_condition_", ("name", "kind", "type", "operation")
_EVALUATING = Histogram(
    f"{_CONDITION}evaluation_seconds",
    "Finding out whether conditions hold.",
    _OF_CONDITION,
    (0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25),
)
_UNKNOWN = Counter(f"{_CONDITION}evaluation_errors_total", "Conditions without a value.", _OF_CONDITION)
_EXCLUDED = Counter(f"{_CONDITION}exclusions_total", "Not asked, by a condition.", _OF_CONDITION)
_MOST_CODE = 600
_UNAVAILABLE = 503
_SPENT = "validation failed due to running out of cost budget"


@contextmanager
def asking(name: str, operation: str, type_: str, *, ignores_failure: bool) -> Iterator[None]:
    """Counts a webhook's call by how it ends."""
    began = perf_counter()
    code, error, rejected = 200, "", "false"
    try:
        yield
    except (Unusable, WebhookFailed):
        code = _UNAVAILABLE
        if ignores_failure:
            _OPEN.add(name, type_)
        else:
            error, rejected = "calling_webhook_error", "true"
        raise
    except ApiError as denied:
        code, error, rejected = min(denied.code, _MOST_CODE), "no_error", "true"
        raise
    finally:
        operation = operation.upper()
        _REQUESTS.add(name, type_, operation, str(code), rejected)
        took = perf_counter() - began
        _SECONDS.observe(took, name, operation, rejected, type_)
        (spent.one_after_another if type_ == "admit" else spent.at_once)(took)
        if error:
            _REJECTIONS.add(name, type_, operation, error, str(code))


@contextmanager
def evaluating(name: str, kind: str, type_: str, operation: str, without_value: type[Exception]) -> Iterator[None]:
    """Match conditions of a webhook or a policy, which `without_value` says if it is raised."""
    labels, began = (name, kind, type_, operation.upper()), perf_counter()
    try:
        yield
    except without_value:
        _UNKNOWN.add(*labels)
        _EVALUATING.observe(perf_counter() - began, *labels)
        raise
    _EVALUATING.observe(perf_counter() - began, *labels)


def excluded(name: str, type_: str, operation: str) -> None:
    """A webhook was not asked."""
    _EXCLUDED.add(name, "webhook", type_, operation.upper())


def mutated(policy: str, binding: str, seconds: float, problem: str = "") -> None:
    labels = policy, binding, _error(problem) if problem else "no_error"
    _MUTATIONS.add(*labels)
    _MUTATION_SECONDS.observe(seconds, *labels)


def _error(message: str) -> str:
    """As upstream tells sorts of errors apart."""
    if message.startswith("compilation"):
        return "compile_error"
    return "out_of_budget" if message.startswith(_SPENT) else "invalid_error"


def checked(policy: str, binding: str, action: str, seconds: float, message: str) -> None:
    """`message` is what is said against the write."""
    labels = policy, binding, _error(message), action.lower()
    _CHECKS.add(*labels)
    _CHECK_SECONDS.observe(seconds, *labels)


def lines() -> Iterator[str]:
    for counted in (_SECONDS, _REQUESTS, _REJECTIONS, _OPEN, _CHECKS, _CHECK_SECONDS, _MUTATIONS, _MUTATION_SECONDS):
        yield from counted.lines()
    for counted in (_EVALUATING, _UNKNOWN, _EXCLUDED):
        yield from counted.lines()
