"""Which of a plugin's devices a container gets. Pure.

In two steps, because the plugin may be asked in between: `select` says what is taken whatever the plugin prefers, and
`complete` takes the rest. Source: upstream `pkg/kubelet/cm/devicemanager/manager.go`, devicesToAllocate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pylet.agent.kubelet.devices.messages import Device, Preference
from pylet.agent.kubelet.provided import CannotProvide


@dataclass(frozen=True, slots=True)
class Selection:
    """`taken` are sure; `missing` more come from what the plugin prefers of `pool`, then from `rest` in order."""

    taken: tuple[str, ...]
    missing: int
    pool: frozenset[str] = frozenset()
    rest: tuple[str, ...] = ()

    @property
    def preference(self) -> Preference:
        available = tuple(sorted(self.pool | set(self.taken)))
        return Preference(available, self.taken, len(self.taken) + self.missing)


def select(
    resource: str,
    needed: int,
    devices: Mapping[str, Device],
    free: Collection[str],
    reusable: Iterable[str] = (),
    affinity: frozenset[int] | None = None,
) -> Selection:
    """`free` are healthy and nobody's; `reusable` were the pod's init containers'; None is no affinity to a NUMA node.

    Raises: CannotProvide.
    """
    taken = sorted(reusable)[:needed]
    missing = needed - len(taken)
    if not missing:
        return Selection(tuple(taken), 0)
    available = sorted(set(free) - set(taken))
    if len(available) < missing:
        words = f"requested number of devices unavailable for {resource}. "
        raise CannotProvide(f"{words}Requested: {missing}, Available: {len(available)}")
    aligned, others = _by_affinity(available, devices, affinity)
    if missing < len(aligned):
        return Selection(tuple(taken), missing, frozenset(aligned), tuple(aligned))
    return Selection((*taken, *aligned), missing - len(aligned), frozenset(others), tuple(others))


def complete(selection: Selection, preferred: Sequence[str] = ()) -> tuple[str, ...]:
    wished = dict.fromkeys(id_ for id_ in preferred if id_ in selection.pool)
    candidates = dict.fromkeys((*wished, *selection.rest))
    return (*selection.taken, *list(candidates)[: selection.missing])


def _by_affinity(
    available: Sequence[str], devices: Mapping[str, Device], affinity: frozenset[int] | None
) -> tuple[list[str], list[str]]:
    """Those near a node of the affinity; then the others, those near no node last."""
    if affinity is None or not any(device.numa for device in devices.values()):
        return [], list(available)
    aligned = [id_ for id_ in available if affinity.intersection(devices[id_].numa)]
    others = [id_ for id_ in available if id_ not in aligned]
    return aligned, sorted(others, key=lambda id_: not devices[id_].numa)
