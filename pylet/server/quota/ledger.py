"""How much of everything the objects of a namespace use, followed as tables change.

Only namespaces somebody has asked about are counted, and of objects that count as one each nothing is kept at all:
their table knows how many there are. A ledger belongs to its table, so admission and the controller share it. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from weakref import WeakKeyDictionary

from pylet.api import podresources
from pylet.api.object import Key, Object
from pylet.api.podresources import Amounts
from pylet.api.quantity import NANOS, Format, Quantity
from pylet.client.view import Entry, Table
from pylet.server.quota.measure import Evaluator, Measured, Scopes, evaluator_of

_ALIKE_BOUND = 256

_Sums = dict[Scopes, Counter[tuple[str, Format]]]


class Ledger:
    def __init__(self, table: Table, evaluator: Evaluator) -> None:
        self._table = table
        self._evaluator = evaluator
        self._sums: dict[str, _Sums] = {}
        self._counted: dict[Key, Measured] = {}
        self._ending: dict[Key, datetime] = {}
        self._alike: dict[tuple[Scopes, frozenset[tuple[str, Quantity]]], Measured] = {}
        table.listen(self._hear)

    def used(self, quota: Object, now: datetime) -> Amounts:
        """What objects under the quota use at that time; names that nothing uses may be absent."""
        namespace = quota["metadata"]["namespace"]
        sums = self._sums.get(namespace)
        if sums is None:
            sums = self._sums[namespace] = {}
            for entry in self._table.in_namespace(namespace).values():
                self._count(entry)
        for key in [key for key, ends in self._ending.items() if ends < now]:
            self._end(key)
        total: Amounts = {}
        for scopes, amounts in sums.items():
            if self._evaluator.covers(quota, scopes):
                for (name, form), nanos in amounts.items():
                    podresources.add(total, {name: Quantity(nanos, form)})
        return total

    def next_end(self, namespace: str) -> datetime | None:
        """When the next object stops to count without being changed."""
        return min((ends for key, ends in self._ending.items() if key.namespace == namespace), default=None)

    def forget(self, namespace: str) -> None:
        """Nobody asks about the namespace any more."""
        if self._sums.pop(namespace, None) is not None:
            for key in [key for key in self._counted if key.namespace == namespace]:
                del self._counted[key]
                self._ending.pop(key, None)

    def _hear(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if entry is None or entry.key.namespace not in self._sums:
            return
        if before is not None:
            self._discount(before.key)
        if after is not None:
            self._count(after)

    def _count(self, entry: Entry) -> None:
        measured = self._shared(self._evaluator.measured(entry.object))
        self._counted[entry.key] = measured
        if measured.ends is not None:
            self._ending[entry.key] = measured.ends
        self._add(entry.key.namespace, measured, 1)

    def _shared(self, measured: Measured) -> Measured:
        """One for all that are measured alike: a kilobyte for each of 10,000 pods would add up."""
        if measured.ends is not None:
            return measured
        if len(self._alike) > _ALIKE_BOUND:
            self._alike.clear()
        return self._alike.setdefault((measured.scopes, frozenset(measured.used.items())), measured)

    def _discount(self, key: Key) -> None:
        self._ending.pop(key, None)
        self._add(key.namespace, self._counted.pop(key), -1)

    def _end(self, key: Key) -> None:
        measured = self._counted[key]
        self._discount(key)
        lasting = Measured(measured.scopes, measured.lasting or {})
        self._counted[key] = lasting
        self._add(key.namespace, lasting, 1)

    def _add(self, namespace: str, measured: Measured, sign: int) -> None:
        sums = self._sums[namespace]
        amounts = sums.setdefault(measured.scopes, Counter())
        for name, amount in measured.used.items():
            place = name, amount.format
            amounts[place] += sign * amount.nanos
            if not amounts[place]:
                del amounts[place]
        if not amounts:
            del sums[measured.scopes]


_ledgers: WeakKeyDictionary[Table, Ledger] = WeakKeyDictionary()


def used(quota: Object, table: Table, now: datetime) -> Amounts:
    """What the table's objects use of what the quota limits."""
    evaluator = evaluator_of(table.kind)
    hard = evaluator.names(quota["spec"].get("hard") or ())
    if evaluator.measure is None:
        count = len(table.in_namespace(quota["metadata"]["namespace"])) if evaluator.covers(quota, Scopes()) else 0
        return dict.fromkeys(hard, Quantity(count * NANOS))
    ledger = _ledgers.get(table)
    if ledger is None:
        ledger = _ledgers[table] = Ledger(table, evaluator)
    found = ledger.used(quota, now)
    return {name: found.get(name, Quantity(0)) for name in hard}


def next_end(tables: Iterable[Table], namespace: str) -> datetime | None:
    """When usage changes though nothing is written."""
    ledgers = [_ledgers[table] for table in tables if table in _ledgers]
    return min((ends for ledger in ledgers if (ends := ledger.next_end(namespace)) is not None), default=None)


def forget(tables: Iterable[Table], namespace: str) -> None:
    """No quota is left there."""
    for table in tables:
        if table in _ledgers:
            _ledgers[table].forget(namespace)
