"""The four dynamic plugins. While nothing of theirs is configured they see no write and hold nothing.

Each listens to the tables of its configurations, and compiles them when the next write comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pylet.api.kind import Kind
from pylet.api.kinds.mutatingadmissionpolicy import KIND as MUTATING_POLICY
from pylet.api.kinds.mutatingadmissionpolicybinding import KIND as MUTATING_BINDING
from pylet.api.kinds.mutatingwebhookconfiguration import KIND as MUTATING_WEBHOOK
from pylet.api.kinds.validatingadmissionpolicy import KIND as VALIDATING_POLICY
from pylet.api.kinds.validatingadmissionpolicybinding import KIND as VALIDATING_BINDING
from pylet.api.kinds.validatingwebhookconfiguration import KIND as VALIDATING_WEBHOOK
from pylet.client.view import Entry, Table
from pylet.server.admission.dynamic.cluster import Cluster
from pylet.server.admission.interface import CONNECT, CREATE, DELETE, UPDATE, Attributes, Plugin

_ALL = frozenset((CREATE, UPDATE, DELETE, CONNECT))


class _Source:
    """What is configured in `tables`, compiled on demand; `resources` is empty as long as one of them is."""

    def __init__(
        self,
        tables: Sequence[Table],
        compiled: Callable[..., Any],
        changed: Callable[[], None],
        operations: frozenset[str] = _ALL,
    ) -> None:
        self.resources: dict[str, frozenset[str]] = {}
        self._tables = tables
        self._compile = compiled
        self._changed = changed
        self._operations = operations
        self._made: Any = None
        for table in tables:
            table.listen(self._heard)
        self._heard(None, None)

    def made(self) -> Any:
        if self._made is None:
            self._made = self._compile(*(table.entries.values() for table in self._tables))
        return self._made

    def _heard(self, before: Entry | None, after: Entry | None) -> None:
        self._made = None
        is_wanted = all(table.entries for table in self._tables)
        if is_wanted != bool(self.resources):
            self.resources.clear()
            if is_wanted:
                self.resources["*"] = self._operations
            self._changed()


def plugins(cluster: Cluster, table: Callable[[Kind], Table], changed: Callable[[], None]) -> Sequence[Plugin]:
    """In their order. `table` reads the configurations; `changed` is told when one begins or ends to see writes."""

    def hooks(kind: Kind) -> _Source:
        def compiled(entries: Any) -> Any:
            from pylet.server.admission.dynamic.hooks import hooks_of

            return hooks_of(entries)

        return _Source((table(kind),), compiled, changed)

    @cache
    def policies_of(word: str) -> Any:
        from pylet.server.admission.dynamic.policies import Policies

        if word == "mutating":
            from pylet.server.admission.dynamic.mutating import MutatingPolicy

            return Policies(MutatingPolicy)
        from pylet.server.admission.dynamic.validating import ValidatingPolicy

        return Policies(ValidatingPolicy)

    def policies(word: str, kinds: Sequence[Kind], operations: frozenset[str] = _ALL) -> _Source:
        return _Source(
            [table(kind) for kind in kinds],
            lambda *entries: policies_of(word).of(*entries),
            changed,
            operations,
        )

    mutating, validating = hooks(MUTATING_WEBHOOK), hooks(VALIDATING_WEBHOOK)

    async def mutate(write: Attributes) -> None:
        from pylet.server.admission.dynamic import webhooks

        await webhooks.mutate(write, mutating.made(), cluster)

    async def validate(write: Attributes) -> None:
        from pylet.server.admission.dynamic import webhooks

        await webhooks.validate(write, validating.made(), cluster)

    changing = policies("mutating", (MUTATING_POLICY, MUTATING_BINDING), _ALL - {DELETE})
    judging = policies("validating", (VALIDATING_POLICY, VALIDATING_BINDING))

    async def change(write: Attributes) -> None:
        from pylet.server.admission.dynamic import mutating as mutating_policies

        await mutating_policies.mutate(write, changing.made(), cluster)

    async def judge(write: Attributes) -> None:
        from pylet.server.admission.dynamic import validating as validating_policies

        await validating_policies.validate(write, judging.made(), cluster)

    return (
        Plugin("MutatingAdmissionPolicy", changing.resources, admit=change),
        Plugin("MutatingAdmissionWebhook", mutating.resources, admit=mutate),
        Plugin("ValidatingAdmissionPolicy", judging.resources, validate=judge),
        Plugin("ValidatingAdmissionWebhook", validating.resources, validate=validate),
    )
