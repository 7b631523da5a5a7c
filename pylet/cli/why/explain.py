"""Which function knows about which kind; others are explained by their conditions, finalizers and warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pylet.api.object import Object, conditions_of, is_terminating
from pylet.cli.why import others, workloads
from pylet.cli.why.cause import Cause
from pylet.cli.why.nodes import of_node
from pylet.cli.why.pods import of_pod
from pylet.cli.why.world import World

_BY_KIND: dict[str, Callable[[Object, World], Iterable[Cause]]] = {
    "Pod": of_pod,
    "Node": of_node,
    "PersistentVolumeClaim": others.of_claim,
    "PodDisruptionBudget": others.of_budget,
    "Service": others.of_service,
    "Namespace": others.of_namespace,
    **workloads.BY_KIND,
}
_GOOD_WHEN_FALSE = ("Failed", "Degraded", "Stalled", "Dangling", "NonStructuralSchema", "Suspended")


def explain(obj: Object, world: World) -> list[Cause]:
    """What keeps an object from being as it should be; empty when nothing does."""
    known = _BY_KIND.get(obj["kind"])
    return list(known(obj, world) if known is not None else _any(obj, world))


def _any(obj: Object, world: World) -> Iterator[Cause]:
    if is_terminating(obj):
        finalizers = ", ".join(obj["metadata"].get("finalizers") or ()) or "its dependents"
        yield Cause(f"it is being deleted, and waits for {finalizers}")
    warning = world.warning(obj)
    for condition in conditions_of(obj):
        bad = "True" if condition.get("type") in _GOOD_WHEN_FALSE else "False"
        if condition.get("status") == bad:
            why = condition.get("message") or condition.get("reason", "")
            yield Cause(f"{condition['type']} is {bad}: {why}")
            warning = "" if warning in why else warning
    if warning:
        yield Cause(warning)
