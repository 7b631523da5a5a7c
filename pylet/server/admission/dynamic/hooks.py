"""Webhook configurations, compiled: whom to ask about what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pylet.api.errors import Forbidden
from pylet.api.object import Object
from pylet.client.view import Entry
from pylet.server.admission.dynamic import counted
from pylet.server.admission.dynamic.asked import Asked, Match, request_of
from pylet.server.admission.dynamic.cluster import Cluster
from pylet.server.admission.dynamic.matching import Constraints

if TYPE_CHECKING:
    from pylet.server.admission.dynamic.expressions import Conditions

_DEFAULT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook. `uid` tells it from others of its name; `conditions` are compiled when they are first asked."""

    name: str
    uid: str
    configuration: str
    constraints: Constraints
    client: Object
    versions: tuple[str, ...]
    has_side_effects: bool
    seconds: float
    ignores_failure: bool
    is_reinvoked: bool
    conditions: Compiled | None

    async def match(self, asked: Asked, cluster: Cluster, type_: str) -> Match | None:
        """In which version it is to be asked about the write, if it is. Raises: ApiError."""
        found = self.constraints.match(asked)
        if found is None or self.conditions is None:
            return found
        from pylet.api.cel.environment import bindings
        from pylet.server.admission.dynamic.expressions import Failed, evaluated

        conditions = self.conditions.get()
        obj, old = await asked.objects(found)
        request = request_of(asked, found)
        values = bindings(obj=obj, old=old, request=request, ask=cluster.ask(asked.write.user))
        operation = asked.write.operation
        try:
            with counted.evaluating(self.name, "webhook", type_, operation, Failed):
                holds = await evaluated(lambda: conditions.hold(values))
            if not holds:
                counted.excluded(self.name, type_, operation)
            return found if holds else None
        except Failed as failed:
            if self.ignores_failure:
                return None
            resource = asked.resource
            raise Forbidden(resource.group, resource.plural, asked.write.named, str(failed)) from failed


@dataclass(slots=True)
class Compiled:
    """Match conditions; CEL is loaded when the first are needed."""

    conditions: Iterable[Object]
    _made: Conditions | None = field(default=None, init=False)

    def get(self) -> Conditions:
        if self._made is None:
            from pylet.api.cel.environment import admission
            from pylet.server.admission.dynamic.expressions import Conditions

            self._made = Conditions(self.conditions, admission(authorizer=True))
        return self._made


def hooks_of(configurations: Iterable[Entry]) -> list[Hook]:
    """In the order they are asked: by the names of their configurations."""
    found: list[Hook] = []
    for entry in sorted(configurations, key=lambda entry: entry.key.name):
        seen: dict[str, int] = {}
        for hook in entry.object.get("webhooks") or ():
            name = hook["name"]
            nth = seen[name] = seen.get(name, -1) + 1
            found.append(_hook(hook, entry.key.name, f"{entry.key.name}/{name}/{nth}"))
    return found


def _hook(hook: Object, configuration: str, uid: str) -> Hook:
    conditions = hook.get("matchConditions")
    return Hook(
        name=hook["name"],
        uid=uid,
        configuration=configuration,
        constraints=Constraints.of({"rules": hook.get("rules"), **hook}),
        client=hook["clientConfig"],
        versions=tuple(hook.get("admissionReviewVersions") or ()),
        has_side_effects=hook.get("sideEffects") not in ("None", "NoneOnDryRun"),
        seconds=float(hook.get("timeoutSeconds") or _DEFAULT_SECONDS),
        ignores_failure=hook.get("failurePolicy") == "Ignore",
        is_reinvoked=hook.get("reinvocationPolicy") == "IfNeeded",
        conditions=Compiled(conditions) if conditions else None,
    )
