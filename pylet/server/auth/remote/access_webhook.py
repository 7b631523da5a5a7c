"""A webhook that knows rights: asked with a SubjectAccessReview where its conditions match, its answers remembered.

Source: apiserver plugin/pkg/authorizer/webhook, pkg/authorization/cel/matcher.go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson

from pylet.aio.clock import Clock
from pylet.aio.prometheus import Counter, Histogram
from pylet.api import selector
from pylet.api.configuration.decoding import duration
from pylet.api.object import Object
from pylet.client import kubeconfig
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.remote.asking import Asker, NoAnswer
from pylet.server.auth.remote.remembered import Remembered

if TYPE_CHECKING:
    from pylet.api.cel.program import Program

log = logging.getLogger(__name__)

_REMEMBERED = 8192
_LONG = 10_000  # what a client can make longer than that is not remembered
_PASSED = Decision(False)
_AUTHORIZATION = "apiserver_authorization_"
_CEL_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25)
_OPERATORS = {
    "=": "In",
    "==": "In",
    "in": "In",
    "!=": "NotIn",
    "notin": "NotIn",
    "exists": "Exists",
    "!": "DoesNotExist",
}


class Counted:
    """What webhooks are counted by, all together."""

    def __init__(self) -> None:
        of_call, of_condition = ("name", "result"), ("type", "name")
        self.asked = Counter(f"{_AUTHORIZATION}webhook_evaluations_total", "Authorizing webhooks asked.", of_call)
        self.seconds = Histogram(f"{_AUTHORIZATION}webhook_duration_seconds", "Until they answered.", of_call)
        opened = f"{_AUTHORIZATION}webhook_evaluations_fail_open_total"
        self.opened = Counter(opened, "Left to others, as there was no answer.", of_call)
        conditions = f"{_AUTHORIZATION}match_condition"
        self.failed = Counter(f"{conditions}_evaluation_errors_total", "Conditions without a value.", of_condition)
        self.excluded = Counter(f"{conditions}_exclusions_total", "Not asked, by a condition.", of_condition)
        evaluating = f"{conditions}_evaluation_seconds"
        self.evaluating = Histogram(evaluating, "Finding out whether conditions hold.", of_condition, _CEL_SECONDS)

    def lines(self) -> Iterator[str]:
        for each in (self.asked, self.seconds, self.opened, self.failed, self.excluded, self.evaluating):
            yield from each.lines()


class AccessWebhook:
    """`webhook` is of a valid AuthorizationConfiguration, with its defaults."""

    def __init__(
        self, name: str, webhook: Object, target: kubeconfig.Endpoint, asker: Asker, clock: Clock, counted: Counted
    ) -> None:
        self._name = name
        self._target = target
        self._tls = kubeconfig.ssl_context(target) if target.server.startswith("https:") else None
        self._asker = asker
        self._version = webhook["subjectAccessReviewVersion"]
        self._timeout = duration(webhook, "timeout").total_seconds()
        self._allowed_seconds = _kept_seconds(webhook, "authorizedTTL", "cacheAuthorizedRequests")
        self._refused_seconds = _kept_seconds(webhook, "unauthorizedTTL", "cacheUnauthorizedRequests")
        self._denies = webhook["failurePolicy"] == "Deny"
        self._conditions = _compiled(webhook.get("matchConditions") or ())
        self._known: Remembered[Object] = Remembered(clock.monotonic, _REMEMBERED)
        self._counted = counted

    async def decide(self, asked: Attributes) -> Decision:
        spec = spec_of(asked)
        if self._conditions:
            from pylet.api.cel.access import Failed

            try:
                if not self._matches(spec):
                    return _PASSED
            except Failed as failed:
                return Decision(False, denied=self._denies, error=str(failed))
        question = orjson.dumps(spec)
        status = self._known.get(question)
        if status is None:
            try:
                review = self._review(spec)
                status = (await self._asker.insist(lambda: self._ask(review))).get("status") or {}
            except NoAnswer as failed:
                log.error("cannot ask %s about a right: %s", self._name, failed)
                if not self._denies:
                    self._counted.opened.add(self._name, "timeout" if failed.is_late else "error")
                return Decision(False, denied=self._denies, error=str(failed))
            if sum(len(text) for text in asked if isinstance(text, str)) < _LONG:
                seconds = self._allowed_seconds if status.get("allowed") else self._refused_seconds
                self._known.keep(question, status, seconds)
        return _decision(status)

    def _matches(self, spec: Object) -> bool:
        """Raises: Failed."""
        from pylet.api.cel.access import Failed, hold

        began = time.perf_counter()
        try:
            matches = hold(self._conditions, spec)
        except Failed:
            self._counted.failed.add("Webhook", self._name)
            raise
        finally:
            self._counted.evaluating.observe(time.perf_counter() - began, "Webhook", self._name)
        if not matches:
            self._counted.excluded.add("Webhook", self._name)
        return matches

    async def _ask(self, review: Object) -> Object:
        """Raises: NoAnswer."""
        began, result = time.perf_counter(), "success"
        try:
            return await self._asker.post(self._target, review, self._tls, self._timeout)
        except NoAnswer as failed:
            result = "timeout" if failed.is_late else "error"
            raise
        except asyncio.CancelledError:
            result = "canceled"
            raise
        finally:
            self._counted.asked.add(self._name, result)
            self._counted.seconds.observe(time.perf_counter() - began, self._name, result)

    def _review(self, spec: Object) -> Object:
        if self._version == "v1beta1" and "groups" in spec:
            spec = {"group" if name == "groups" else name: value for name, value in spec.items()}
        version = f"authorization.k8s.io/{self._version}"
        return {
            "kind": "SubjectAccessReview",
            "apiVersion": version,
            "metadata": {},
            "spec": spec,
            "status": {"allowed": False},
        }


def _kept_seconds(webhook: Object, name: str, wanted: str) -> float:
    return 0.0 if webhook.get(wanted) is False else duration(webhook, name).total_seconds()


def _compiled(conditions: list[Object] | tuple[()]) -> list[Program]:
    if not conditions:
        return []
    from pylet.api.cel.access import compile_condition

    return [compile_condition(one["expression"]) for one in conditions]


def _decision(status: Object) -> Decision:
    allowed, denied, reason = status.get("allowed"), status.get("denied"), status.get("reason") or ""
    if allowed and denied:
        both = "webhook subject access review returned both allow and deny response"
        return Decision(False, reason, denied=True, error=both)
    return Decision(bool(allowed), reason, denied=bool(denied))


def spec_of(asked: Attributes) -> Object:
    """The question as a SubjectAccessReview puts it."""
    user, spec = asked.user, {}
    if asked.path:
        spec["nonResourceAttributes"] = {"path": asked.path, "verb": asked.verb}
    else:
        names = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
        about: Object = {name: value for name in names if (value := getattr(asked, name))}
        about |= {name: {"requirements": found} for name, found in _selectors(asked) if found}
        spec["resourceAttributes"] = about
    extra = {name: list(values) for name, values in user.extra.items()}
    who = {"user": user.name, "groups": list(user.groups), "extra": extra, "uid": user.uid}
    return {**spec, **{name: value for name, value in who.items() if value}}


def _selectors(asked: Attributes) -> Iterator[tuple[str, list[Object]]]:
    if asked.fields:
        yield "fieldSelector", _fields(asked.fields)
    if asked.labels:
        yield "labelSelector", _labels(asked.labels)


def _fields(text: str) -> list[Object]:
    try:
        terms = selector.parse_fields(text).terms
    except ValueError:
        return []
    return [
        {"key": name, "operator": "In" if is_equal else "NotIn", "values": [value]} for name, value, is_equal in terms
    ]


def _labels(text: str) -> list[Object]:
    try:
        requirements = selector.parse_labels(text).requirements
    except ValueError:
        return []
    return [
        {"key": one.key, "operator": _OPERATORS[one.operator], **({"values": list(one.values)} if one.values else {})}
        for one in requirements
        if one.operator in _OPERATORS
    ]
