"""HorizontalPodAutoscaler: as many pods as their metrics call for, looked at every 15 seconds.

Metrics are observations, not objects: the plan asks for API paths and takes what was read of them last.
Source: upstream `pkg/controller/podautoscaler/horizontal.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from pylet.api.kind import Kind
from pylet.api.kinds.horizontalpodautoscaler import KIND as AUTOSCALER
from pylet.api.object import Key
from pylet.client.view import Entry, View
from pylet.server.controllers.autoscaling import counted
from pylet.server.controllers.autoscaling.behavior import History
from pylet.server.controllers.autoscaling.look import Look
from pylet.server.controllers.autoscaling.metrics import NotYet
from pylet.server.reconcile.observations import Observations
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Synced, Watch, itself

_EVERY = timedelta(seconds=15)
_MOMENT = timedelta(seconds=1)


def controller(kinds: Collection[Kind], observations: Observations) -> Controller:
    """For the stored kinds, live: whatever has a scale can be scaled."""
    scaled = {(kind.group, kind.name): kind for kind in kinds}
    histories: dict[Key, History] = {}
    looked: dict[Key, tuple[datetime, str]] = {}
    came_to: dict[Key, tuple[str, str]] = {}  # plans that are under way

    def custom(kind: Kind) -> Watch:
        scaled[kind.group, kind.name] = kind
        return Watch(kind, _nobody)

    def plan(key: Key, view: View, now: datetime) -> Plan:
        autoscaler = view.get(AUTOSCALER, key)
        if autoscaler is None:
            histories.pop(key, None)
            looked.pop(key, None)
            return NOTHING
        at, spec = looked.get(key, (None, ""))
        if at is not None and spec == str(autoscaler["spec"]) and now - at < _EVERY:
            return Plan(again_after=at + _EVERY - now)  # its own writes wake it
        history = histories.setdefault(key, History())
        look = Look(autoscaler, scaled, view, history, lambda path: observations.ask(path, now), now)
        try:
            actions = look.decide()
        except NotYet:
            return Plan(again_after=_MOMENT)
        looked[key] = now, str(autoscaler["spec"])
        came_to[key] = look.came_to
        return Plan(actions, _EVERY)

    def synced(done: Synced, view: View) -> None:
        if (known := came_to.pop(done.key, None)) is not None:
            action, error = known if done.failed is None else (counted.NONE, counted.INTERNAL)
            counted.looked(action, error, done.seconds)

    def time_set(moved: timedelta) -> None:
        histories.clear()
        looked.clear()

    name = "horizontal-pod-autoscaler"
    return Controller(
        name,
        (Watch(AUTOSCALER, itself),),
        plan,
        custom,
        speaker=name,
        time_set=time_set,
        synced=synced,
        metrics=counted.lines,
    )


def _nobody(entry: Entry, view: View) -> Iterable[Key]:
    """What a workload's size is shows at the next look."""
    return ()
