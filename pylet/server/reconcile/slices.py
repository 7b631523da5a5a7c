"""What is counted of EndpointSlices that a controller keeps.

Source: upstream `staging/src/k8s.io/endpointslice/metrics`, `pkg/controller/endpointslicemirroring/metrics`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from pylet.aio.prometheus import Counter, Histogram, doubling, gauge
from pylet.api.backends import MANAGED_BY
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.object import Key, Object
from pylet.client.view import View
from pylet.server.reconcile.plan import Action, Create, Delete, Update

_ENDPOINTS = doubling(2, 15)
_OPERATIONS = {Create: "create", Update: "update", Delete: "delete"}
_MOST_ENDPOINTS = 100


class Slices:
    """A look is told of when its plan is made, and counted once that has been carried out."""

    def __init__(self, prefix: str, manager: str) -> None:
        """`prefix` is what the metrics' names begin with; `manager` is whose slices they are."""
        self._prefix, self._manager = prefix, manager
        self._changes = Counter(f"{prefix}_changes", "Writes of slices.", ("operation",))
        self._added = Histogram(f"{prefix}_endpoints_added_per_sync", "At one look.", (), _ENDPOINTS)
        self._removed = Histogram(f"{prefix}_endpoints_removed_per_sync", "At one look.", (), _ENDPOINTS)
        self._looks: dict[Key, tuple[int, int]] = {}
        self._held: dict[Key, tuple[int, int]] = {}  # by Service its endpoints, and the slices that would do for them

    def look(self, key: Key, there: Collection[Object], wanted: Collection[Object], groups: Iterable[int]) -> None:
        """Endpoints of a Service, as they are in its slices and as they should be; `groups` is how many have the same
        ports."""
        before, after = ({endpoint["addresses"][0] for endpoint in of} for of in (there, wanted))
        self._looks[key] = len(after - before), len(before - after)
        self._held[key] = len(wanted), max(1, sum(-(-group // _MOST_ENDPOINTS) for group in groups))

    def forget(self, key: Key) -> None:
        self._held.pop(key, None)

    def done(self, key: Key, actions: Sequence[Action], *, failed: bool) -> int | None:
        """How many slices were changed; None where the Service was not looked at."""
        look = self._looks.pop(key, None)
        if failed:
            return None
        changes = [operation for action in actions if (operation := _OPERATIONS.get(type(action)))]
        for operation in changes:
            self._changes.add(operation)
        if look is None:
            return None
        self._added.observe(look[0])
        self._removed.observe(look[1])
        return len(changes)

    def lines(self, view: View) -> Iterator[str]:
        for each in (self._changes, self._added, self._removed):
            yield from each.lines()
        entries = view.table(ENDPOINT_SLICE).entries.values()
        number = sum(entry.labels.get(MANAGED_BY) == self._manager for entry in entries)
        yield from gauge(f"{self._prefix}_num_endpoint_slices", "Slices.", {}, number)
        for name, help_, at in (
            ("endpoints_desired", "Endpoints.", 0),
            ("desired_endpoint_slices", "Slices that would do for them.", 1),
        ):
            yield from gauge(f"{self._prefix}_{name}", help_, {}, sum(held[at] for held in self._held.values()))
