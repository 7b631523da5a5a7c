"""The next step of a rolling update: which old pods go, and which nodes get a new one beside the old.

Source: upstream `pkg/controller/daemon/update.go` (rollingUpdate).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pylet.api.object import Object, is_terminating
from pylet.api.podtemplate import scaled_value

Step = tuple[list[Object], list[str]]
"""Pods to delete, and nodes to create a pod on."""


def surge_of(daemon_set: Object, nodes: int) -> int:
    return _bound(daemon_set, "maxSurge", nodes)


def step(
    daemon_set: Object,
    pods: Mapping[str, Sequence[Object]],
    wanted: set[str],
    is_updated: Callable[[Object], bool],
    is_available: Callable[[Object], bool],
) -> Step:
    """`pods` are those of each node that has or should have one; `wanted` are the nodes that should."""
    surge = surge_of(daemon_set, len(wanted))
    unavailable = _bound(daemon_set, "maxUnavailable", len(wanted))
    if surge:
        return _surging(pods, wanted, surge, is_updated, is_available)
    return _replacing(pods, unavailable or 1, is_updated, is_available), []


def _replacing(
    pods: Mapping[str, Sequence[Object]],
    most_unavailable: int,
    is_updated: Callable[[Object], bool],
    is_available: Callable[[Object], bool],
) -> list[Object]:
    unavailable, broken, candidates = 0, [], []
    for on_node in pods.values():
        new, old = _pair(on_node, is_updated)
        if len(new) + len(old) != 1:
            unavailable += 1  # the next plan tidies up or creates
        elif new:
            unavailable += not is_available(new[0])
        elif is_available(old[0]):
            candidates.append(old[0])
        else:
            broken.append(old[0])
            unavailable += 1
    return broken + candidates[: max(0, most_unavailable - unavailable)]


def _surging(
    pods: Mapping[str, Sequence[Object]],
    wanted: set[str],
    most_surging: int,
    is_updated: Callable[[Object], bool],
    is_available: Callable[[Object], bool],
) -> Step:
    delete: list[Object] = []
    unwanted: list[Object] = []
    create: list[str] = []
    candidates: list[str] = []
    surging = available = 0
    for node, on_node in pods.items():
        new, old = _pair(on_node, is_updated)
        if len(new) > 1 or len(old) > 1:
            surging += 1
            continue
        available += any(map(is_available, old or new))
        if not old:
            continue
        if new:
            if is_available(new[0]):
                delete.append(old[0])
            else:
                surging += 1
        elif node in wanted:
            (candidates if is_available(old[0]) else create).append(node)
        else:
            (unwanted if is_available(old[0]) else delete).append(old[0])
    # What runs where it should no more goes only when as much is available elsewhere.
    delete += unwanted[: max(0, available - len(wanted))]
    return delete, create + candidates[: max(0, most_surging - surging)]


def _pair(pods: Sequence[Object], is_updated: Callable[[Object], bool]) -> tuple[list[Object], list[Object]]:
    alive = [pod for pod in pods if not is_terminating(pod)]
    return [pod for pod in alive if is_updated(pod)], [pod for pod in alive if not is_updated(pod)]


def _bound(daemon_set: Object, field: str, nodes: int) -> int:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return 0
    return scaled_value((strategy.get("rollingUpdate") or {}).get(field), nodes, round_up=True)
