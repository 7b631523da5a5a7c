"""Device taint eviction: a pod leaves a device whose NoExecute taints its claim does not tolerate, or no longer does.

Source: upstream `pkg/controller/devicetainteviction/device_taint_eviction.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from pylet.api import timestamps
from pylet.api.devices.taints import tolerates
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.kinds.resourceslice import KIND as SLICE
from pylet.api.object import Key, Object, dig, is_terminating, uid_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.eviction import Evictions, evict
from pylet.server.reconcile.plan import NOTHING, Controller, Emit, Plan, Watch

_EVICTIONS = Evictions("device_taint_eviction_controller")
_REASON = "DeviceTaintManagerEviction"
_WHY = "Device Taint manager: deleting due to NoExecute taint"


def controller() -> Controller:
    waiting: set[Key] = set()  # pods that will have to leave

    def plan(key: Key, view: View, now: datetime) -> Plan:
        pod, waited = view.get(POD, key), key in waiting
        waiting.discard(key)
        if pod is None or is_terminating(pod) or not pod["spec"].get("nodeName"):
            return NOTHING
        due = min((moment for claim in _held(pod, view) for moment in _ends(claim, view, now)), default=None)
        if due is None:
            return Plan((Emit(pod, _REASON, "Cancelling deletion"),)) if waited else NOTHING
        if due > now:
            waiting.add(key)
            return Plan(again_after=due - now)
        told = Emit(pod, _REASON, "Marking for deletion")
        late = now - due
        return evict(pod, "DeletionByDeviceTaintManager", _WHY, told, now, _EVICTIONS.one(late))

    watches = (Watch(POD, _of_pod), Watch(CLAIM, _of_claim), Watch(SLICE, _of_slice))
    return Controller("device-taint-eviction", watches, plan, metrics=_EVICTIONS.lines)


def _held(pod: Object, view: View) -> Iterator[Object]:
    """The claims that are reserved for it."""
    named = (*dig(pod, "spec", "resourceClaims", default=()), *dig(pod, "status", "resourceClaimStatuses", default=()))
    for name in {each.get("resourceClaimName") for each in named} - {None}:
        claim = view.get(CLAIM, Key(pod["metadata"]["namespace"], name))
        if claim is not None and uid_of(pod) in {
            each["uid"] for each in dig(claim, "status", "reservedFor", default=())
        }:
            yield claim


def _ends(claim: Object, view: View, now: datetime) -> Iterator[datetime]:
    """When the claim no longer tolerates each taint that it does not tolerate for ever."""
    for result in dig(claim, "status", "allocation", "devices", "results", default=()):
        for taint in _taints(result, view):
            added = timestamps.parse(taint["timeAdded"]) if taint.get("timeAdded") else now
            matching = [
                each
                for each in result.get("tolerations") or ()
                if each.get("effect") == "NoExecute" and tolerates(each, taint)
            ]
            bounds = [each.get("tolerationSeconds") for each in matching]
            if None not in bounds:
                yield added + timedelta(seconds=max(0, min(bounds, default=0)))


def _taints(result: Object, view: View) -> Iterator[Object]:
    """Those of the device, as its pool's latest generation has it, that end what uses it."""
    specs = [
        found["spec"]
        for found in view.with_field(SLICE, "spec.driver", result["driver"])
        if found["spec"]["pool"]["name"] == result["pool"]
    ]
    latest = max((spec["pool"].get("generation", 0) for spec in specs), default=0)
    for spec in specs:
        for device in spec.get("devices") or ():
            if device["name"] == result["device"] and spec["pool"].get("generation", 0) == latest:
                yield from (taint for taint in device.get("taints") or () if taint.get("effect") == "NoExecute")


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    if b'"resourceClaims"' in entry.raw:
        yield entry.key


def _of_claim(entry: Entry, view: View) -> Iterable[Key]:
    for holder in dig(entry.object, "status", "reservedFor", default=()):
        yield Key(entry.key.namespace, holder["name"])


def _of_slice(entry: Entry, view: View) -> Iterable[Key]:
    if b'"NoExecute"' not in entry.raw:
        return
    pool = entry.object["spec"]["driver"], entry.object["spec"]["pool"]["name"]
    for claim in view.table(CLAIM).entries.values():
        results = dig(claim.object, "status", "allocation", "devices", "results", default=())
        if any((result["driver"], result["pool"]) == pool for result in results):
            yield from _of_claim(claim, view)


CONTROLLER = controller()
