"""Webhooks that know tokens and rights: asked with a TokenReview or a SubjectAccessReview, answers remembered a while.

Source: apiserver plugin/pkg/{authenticator/token,authorizer}/webhook.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from typing import Any, Generic, TypeVar

from pylet.api.object import Object
from pylet.client import kubeconfig
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.authenticate import groups_of
from pylet.server.auth.remote import Known
from pylet.server.auth.remote.asking import Asker, NoAnswer
from pylet.server.auth.tokens import BadToken
from pylet.server.registry import User

log = logging.getLogger(__name__)

_TOKEN_SECONDS, _ALLOWED_SECONDS, _REFUSED_SECONDS = 120, 300, 30  # upstream's defaults
_REMEMBERED = 1024

T = TypeVar("T")


class Remembered(Generic[T]):
    """Answers by their question, each for some seconds; the oldest go first."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Any, tuple[float, T]] = OrderedDict()

    def get(self, question: Any) -> T | None:
        until, answer = self._answers.get(question, (0.0, None))
        return answer if until > time.monotonic() else None

    def keep(self, question: Any, answer: T, seconds: float) -> None:
        self._answers[question] = time.monotonic() + seconds, answer
        self._answers.move_to_end(question)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)


class TokenWebhook:
    """`seconds` is how long an answer is remembered."""

    def __init__(self, target: kubeconfig.Endpoint, asker: Asker, seconds: float = _TOKEN_SECONDS) -> None:
        self._target = target
        self._tls = kubeconfig.ssl_context(target) if target.server.startswith("https:") else None
        self._asker = asker
        self._seconds = seconds
        self._known: Remembered[Object] = Remembered()

    async def user(self, token: str, audiences: frozenset[str]) -> Known | None:
        """Raises: BadToken."""
        question = hashlib.sha256(token.encode()).digest(), audiences
        status = self._known.get(question)
        if status is None:
            spec = {"token": token, "audiences": sorted(audiences)}
            review = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
            try:
                status = (await self._asker.post(self._target, review, self._tls)).get("status") or {}
            except (NoAnswer, AttributeError) as failed:
                log.error("cannot ask about a token: %s", failed)
                raise BadToken(str(failed)) from failed
            self._known.keep(question, status, self._seconds)
        if not status.get("authenticated"):
            if status.get("error"):
                raise BadToken(str(status["error"]))
            return None
        meant = tuple(one for one in status.get("audiences") or audiences if one in audiences)
        if not meant:
            raise BadToken("the webhook knows the token for other audiences alone")
        info = status.get("user") or {}
        name = info.get("username") or ""
        groups = groups_of(name, tuple(info.get("groups") or ()))
        return Known(User(name, groups, info.get("uid") or "", info.get("extra") or {}), meant)


class AccessWebhook:
    def __init__(self, target: kubeconfig.Endpoint, asker: Asker) -> None:
        self._target = target
        self._tls = kubeconfig.ssl_context(target) if target.server.startswith("https:") else None
        self._asker = asker
        self._known: Remembered[Decision] = Remembered()

    async def decide(self, asked: Attributes) -> Decision:
        spec = _spec(asked)
        question = repr(spec)
        found = self._known.get(question)
        if found is not None:
            return found
        review = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec}
        try:
            status = (await self._asker.post(self._target, review, self._tls)).get("status") or {}
        except (NoAnswer, AttributeError) as failed:
            log.error("cannot ask about a right: %s", failed)
            return Decision(False)
        decision = Decision(bool(status.get("allowed")) and not status.get("denied"), status.get("reason") or "")
        self._known.keep(question, decision, _ALLOWED_SECONDS if decision.allowed else _REFUSED_SECONDS)
        return decision


def _spec(asked: Attributes) -> Object:
    user = asked.user
    spec: Object = {"user": user.name, "groups": list(user.groups), "uid": user.uid}
    if user.extra:
        spec["extra"] = {name: list(values) for name, values in user.extra.items()}
    if asked.path:
        return {**spec, "nonResourceAttributes": {"path": asked.path, "verb": asked.verb}}
    names = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
    about: Object = {name: value for name in names if (value := getattr(asked, name))}
    if asked.fields:
        about["fieldSelector"] = {"rawSelector": asked.fields}
    return {**spec, "resourceAttributes": about}
