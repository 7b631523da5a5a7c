"""The four dynamic plugins. While nothing of theirs is configured they see no write and hold nothing.

Each listens to the tables of its configurations, and compiles them when the next write comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

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


Compile: TypeAlias = Callable[..., Any]
"""From the entries of each table to what is asked of each write."""
Work: TypeAlias = Callable[[Attributes, Any, Cluster], Awaitable[None]]


class _Dynamic:
    """Does what is configured in `tables`, compiled on demand; `resources` is empty as long as one of them is."""

    def __init__(
        self,
        tables: Sequence[Table],
        load: Callable[[], tuple[Compile, Work]],
        operations: frozenset[str],
        cluster: Cluster,
        changed: Callable[[], None],
    ) -> None:
        self.resources: dict[str, frozenset[str]] = {}
        self._tables = tables
        self._load = cache(load)
        self._operations = operations
        self._cluster = cluster
        self._changed = changed
        self._made: Any = None
        for table in tables:
            table.listen(self._heard)
        self._heard(None, None)

    async def work(self, write: Attributes) -> None:
        compiled, work = self._load()
        if self._made is None:
            self._made = compiled(*(table.entries.values() for table in self._tables))
        await work(write, self._made, self._cluster)

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

    def dynamic(load: Callable[[], tuple[Compile, Work]], *kinds: Kind, operations: frozenset[str] = _ALL) -> _Dynamic:
        return _Dynamic([table(kind) for kind in kinds], load, operations, cluster, changed)

    changing = dynamic(_mutating_policies, MUTATING_POLICY, MUTATING_BINDING, operations=_ALL - {DELETE})
    mutating = dynamic(_mutating_webhooks, MUTATING_WEBHOOK)
    judging = dynamic(_validating_policies, VALIDATING_POLICY, VALIDATING_BINDING)
    validating = dynamic(_validating_webhooks, VALIDATING_WEBHOOK)
    return (
        Plugin("MutatingAdmissionPolicy", changing.resources, admit=changing.work),
        Plugin("MutatingAdmissionWebhook", mutating.resources, admit=mutating.work),
        Plugin("ValidatingAdmissionPolicy", judging.resources, validate=judging.work),
        Plugin("ValidatingAdmissionWebhook", validating.resources, validate=validating.work),
    )


def _mutating_policies() -> tuple[Compile, Work]:
    from pylet.server.admission.dynamic import mutating, policies

    return policies.Policies(mutating.MutatingPolicy).of, mutating.mutate


def _validating_policies() -> tuple[Compile, Work]:
    from pylet.server.admission.dynamic import policies, validating

    return policies.Policies(validating.ValidatingPolicy).of, validating.validate


def _mutating_webhooks() -> tuple[Compile, Work]:
    from pylet.server.admission.dynamic import hooks, webhooks

    return hooks.hooks_of, webhooks.mutate


def _validating_webhooks() -> tuple[Compile, Work]:
    from pylet.server.admission.dynamic import hooks, webhooks

    return hooks.hooks_of, webhooks.validate
