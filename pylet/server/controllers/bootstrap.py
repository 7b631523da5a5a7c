"""What a cluster has from its first minute is made anew when somebody deletes it, and put right where it was spoiled.

Upstream looks every ten seconds or every minute. Sources: pkg/controlplane/controller/{kubernetesservice,
defaultservicecidr,systemnamespaces,clusterauthenticationtrust}, pkg/registry/flowcontrol/ensurer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from pylet.api.kind import Kind
from pylet.api.object import Key, Object, is_terminating, key_of, uid_of
from pylet.api.patch import merge
from pylet.client.view import Entry, View
from pylet.server.addons.wanted import change_of, is_another, kind_of
from pylet.server.reconcile.plan import Action, Controller, Create, Delete, Emit, Patch, Plan, Watch

_SPEAKER = "kubernetes-service-cidr-controller"
_MISMATCH = "The default ServiceCIDR [{}] does not match the controller flag configurations [{}]"


def controller(objects: Iterable[Object]) -> Controller:
    """`objects` are what the cluster shall have."""
    wanted: dict[Key, list[tuple[Kind, Object]]] = defaultdict(list)
    for obj in objects:
        wanted[key_of(obj)].append((kind_of(obj), obj))

    def plan(key: Key, view: View, now: datetime) -> Plan:
        return Plan(tuple(action for kind, obj in wanted[key] for action in _actions(kind, obj, view.get(kind, key))))

    def of(kind: Kind) -> Callable[[Entry, View], Iterable[Key]]:
        mine = {key for key, namesakes in wanted.items() if kind in dict(namesakes)}
        return lambda entry, view: (entry.key,) if entry.key in mine else ()

    every = dict.fromkeys(kind for namesakes in wanted.values() for kind, _ in namesakes)
    return Controller("bootstrap", tuple(Watch(kind, of(kind)) for kind in every), plan, speaker=_SPEAKER)


def _actions(kind: Kind, obj: Object, found: Object | None) -> Sequence[Action]:
    if found is None:
        return (Create(kind, obj),)
    if is_terminating(found):
        return ()
    if is_another(obj, found):
        return (Delete(kind, key_of(obj), uid_of(found)),)
    change = change_of(obj, found)
    if change is not None and merge.apply(found, change) != found:
        return (Patch(kind, key_of(obj), change),)
    if kind.name == "ServiceCIDR" and obj["spec"] != found["spec"]:
        message = _MISMATCH.format(" ".join(found["spec"]["cidrs"]), " ".join(obj["spec"]["cidrs"]))
        return (Emit(found, "KubernetesDefaultServiceCIDRInconsistent", message, "Warning"),)
    return ()
