"""What an autoscaler scales: its size and the selector of its pods, as its scale subresource shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pylet.api import selector
from pylet.api.kind import Kind
from pylet.api.object import Key, Object, dig
from pylet.api.selector import LabelSelector
from pylet.client.view import View
from pylet.server.controllers.autoscaling.metrics import Unknown


@dataclass(frozen=True, slots=True)
class Target:
    kind: Kind
    key: Key
    replicas: int
    running: int
    selector: str


def target_of(autoscaler: Object, kinds: Mapping[tuple[str, str], Kind], view: View) -> Target:
    """Raises: Unknown."""
    reference = autoscaler["spec"]["scaleTargetRef"]
    group = reference.get("apiVersion", "").rpartition("/")[0]
    kind = kinds.get((group, reference["kind"]))
    if kind is None:
        raise Unknown(f'no matches for kind "{reference["kind"]}" in group "{group}"')
    key = Key(autoscaler["metadata"]["namespace"] if kind.namespaced else "", reference["name"])
    workload = view.get(kind, key)
    seen = kind.scaled_as
    if "scale" not in seen.subresources:
        raise Unknown("the server could not find the requested resource")
    if workload is None:
        raise Unknown(f'{kind.resource} "{key.name}" not found')
    if (paths := seen.scale) is not None:
        chosen = dig(workload, *paths.selector, default="") if paths.selector else ""
        return Target(seen, key, _count(workload, paths.spec), _count(workload, paths.status), str(chosen))
    return Target(
        kind, key, dig(workload, "spec", "replicas", default=1), _count(workload, ("status", "replicas")), _of(workload)
    )


def _of(workload: Object) -> str:
    chosen = dig(workload, "spec", "selector", default={})
    return str(_selector(chosen))


def _selector(chosen: Object) -> LabelSelector:
    """A ReplicationController's selector is a plain map of labels."""
    is_object = not chosen or chosen.keys() & {"matchLabels", "matchExpressions"}
    return selector.from_object(chosen) if is_object else selector.from_labels(chosen)


def _count(workload: Object, path: tuple[str, ...]) -> int:
    found = dig(workload, *path, default=0)
    return found if isinstance(found, int) else 0
