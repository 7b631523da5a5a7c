"""A registry with dynamic admission, and webhooks that are functions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from pylet.api.cel.library.authorizer import Ask, Decision, Question
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.server.admission.dynamic import plugins
from pylet.server.admission.dynamic.cluster import Cluster
from pylet.server.credentials import Credentials
from pylet.server.registry import User
from pylet.server.registry.versions import shape_of
from pylet.server.webhooks import WebhookFailed
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import Api, running

Answering = Callable[[Object], Any]


class Webhooks:
    """Stands for all webhooks: those with `answers` say so, by their URL; `asked` are the requests in order."""

    def __init__(self) -> None:
        self.answers: dict[str, Answering] = {}
        self.asked: list[Object] = []
        self.seconds: list[float] = []

    async def call(
        self, config: Object, body: Object, *, timeout_seconds: float, credentials: Credentials | None = None
    ) -> Any:
        request = body["request"]
        self.asked.append(request)
        self.seconds.append(timeout_seconds)
        answering = self.answers.get(config["url"])
        if answering is None:
            raise WebhookFailed(f'Post "{config["url"]}?timeout={timeout_seconds:g}s": refused')
        response = answering(request)
        return {**body, "response": {"uid": request["uid"], **response}}


class Dynamic:
    """The registry with its dynamic plugins; `allowed` are the questions the authorizer says yes to."""

    def __init__(self, api: Api, webhooks: Webhooks) -> None:
        self.api = api
        self.webhooks = webhooks
        self.allowed: set[Question] = set()

    def ask(self, user: User) -> Ask:
        return lambda question: Decision(question in self.allowed)

    async def configure(self, kind: str, *webhooks: Object, name: str = "one") -> None:
        """A WebhookConfiguration of short ways to say things."""
        settled = [
            {
                "name": "a.hooks.test",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": "https://hook.test/a"},
                **webhook,
            }
            for webhook in webhooks
        ]
        version = "admissionregistration.k8s.io/v1"
        await self.api.create({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "webhooks": settled})

    async def make(self, kind: str, name: str, spec: Object) -> None:
        version = "admissionregistration.k8s.io/v1"
        await self.api.create({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})


def rule(*resources: str, operations: Sequence[str] = ("*",), group: str = "", **more: Any) -> Object:
    return {
        "operations": list(operations),
        "apiGroups": [group],
        "apiVersions": ["*"],
        "resources": list(resources),
        **more,
    }


@pytest.fixture
async def dynamic() -> AsyncIterator[Dynamic]:
    async with running(MemoryStore()) as api:
        webhooks = Webhooks()
        made = Dynamic(api, webhooks)
        registry = api.registry

        async def convert(kind: Kind, version: str, objects: Sequence[Object]) -> list[Object]:
            raise AssertionError("nothing is to be converted")

        around = Cluster(registry.load_table, registry.kinds, convert, webhooks, made.ask, shape_of)
        registry.admission.extend_before_last(plugins.plugins(around, registry.table, registry.admission.changed))
        await api.namespace("a")
        yield made
