"""CSI volumes that must be attached: one VolumeAttachment for each volume and node whose pods use it.

The driver attaches and says so in its status; deleting it asks for detaching, and waits until the kubelet no longer
lists the volume as in use, unless the node is out of service, or not ready for six minutes.
Source: upstream `pkg/controller/volume/attachdetach`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from pylet.aio.prometheus import gauges
from pylet.api.csi import attachment_name
from pylet.api.kinds.csidriver import KIND as DRIVER
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.volumeattachment import KIND as ATTACHMENT
from pylet.api.object import Key, Object, dig, is_terminating, is_true, uid_of
from pylet.api.podtemplate import is_finished
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Create, Delete, Emit, Patch, Plan, Watch

_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_LONGEST_WAIT = timedelta(minutes=6)
_PATIENCE = timedelta(minutes=2)
_SOON = timedelta(seconds=1)
_TO_MOUNT = timedelta(minutes=1)
"""For the node, where pods use a volume whose driver has just said that it needs no attaching."""
_FAILED = "FailedAttachVolume"
_OUR_NAME = re.compile(r"csi-[0-9a-f]{64}")


@dataclass(slots=True)
class _Progress:
    """How far a volume's attaching was when its pods were told last."""

    since: datetime | None = None
    error: Object | None = None
    is_held: bool = False
    """By another node, as its pods know if `is_told`."""
    is_told: bool = False


_Volumes: TypeAlias = dict[str, tuple[Object, list[Object]]]
"""By the name of its attachment a volume, and the pods that use it."""


def controller() -> Controller:
    attaching = _AttachDetach()
    watches = (
        Watch(POD, _of_pod),
        Watch(ATTACHMENT, attaching.of_attachment),
        Watch(NODE, _of_node),
        Watch(CLAIM, _of_claim),
    )
    return Controller("attachdetach", watches, attaching.plan, metrics=attaching.metrics)


class _AttachDetach:
    """Plans for nodes, and what no view tells."""

    def __init__(self) -> None:
        self._unwanted: dict[str, dict[str, datetime]] = {}
        """By node, attachments nobody needs, and since when."""
        self._under_way: dict[str, dict[str, _Progress]] = {}
        """By node and attachment, those not attached."""
        self._asked: dict[str, str] = {}
        """By volume that one node may have, the node whose attachment is on its way to the API."""
        self._uses: dict[str, tuple[Counter[str], Counter[str]]] = {}
        """By node, how many volumes of each plugin its pods use, and how many should be attached."""

    def plan(self, key: Key, view: View, now: datetime) -> Plan:
        """The key is a node's."""
        used = _used(key.name, view)
        wanted = {name: each for name, each in used.items() if _must_be_attached(each[0], view)}
        self._note(key.name, used, wanted)
        there = {each["metadata"]["name"]: each for each in _attachments(key.name, view)}
        unneeded = {name: each for name, each in there.items() if name not in wanted and not is_terminating(each)}
        goes, until_they_go = self._to_detach(key, unneeded, used, view, now)
        attaches, until_attached = self._attach(key.name, wanted, there, view, now)
        actions = (
            *_report(key, view, [each for name, each in there.items() if name not in goes]),
            *(Delete(ATTACHMENT, Key("", name), uid_of(there[name])) for name in goes),
            *attaches,
        )
        waits = [*until_they_go, *until_attached]
        return Plan(actions, min(waits, default=None)) if actions or waits else NOTHING

    def _note(self, node: str, used: _Volumes, wanted: _Volumes) -> None:
        self._uses.pop(node, None)
        if used:
            of_pods = Counter(_plugin(volume["spec"]["csi"]["driver"]) for volume, pods in used.values() for _ in pods)
            attached = Counter(_plugin(volume["spec"]["csi"]["driver"]) for volume, _ in wanted.values())
            self._uses[node] = of_pods, attached

    def metrics(self, view: View) -> Iterator[str]:
        in_use = [
            ({"node": node, "volume_plugin": plugin}, number)
            for node, (of_pods, _) in self._uses.items()
            for plugin, number in of_pods.items()
        ]
        yield from gauges("storage_count_attachable_volumes_in_use", "Volumes that pods use.", in_use)
        entries = [entry for entry in view.table(ATTACHMENT).entries.values() if b'"attached":true' in entry.raw]
        states = {
            "actual_state_of_world": Counter(_plugin(entry.object["spec"]["attacher"]) for entry in entries),
            "desired_state_of_world": sum((attached for _, attached in self._uses.values()), Counter[str]()),
        }
        total = [
            ({"plugin_name": plugin, "state": state}, number)
            for state, volumes in states.items()
            for plugin, number in volumes.items()
        ]
        yield from gauges("attachdetach_controller_total_volumes", "Volumes to attach, and attached.", total)

    def of_attachment(self, entry: Entry, view: View) -> Iterable[Key]:
        """Its node, and those that wait for a volume that another has."""
        nodes = (node for node, told in self._under_way.items() if any(each.is_held for each in told.values()))
        yield from (Key("", node) for node in {entry.object["spec"]["nodeName"], *nodes})

    def _to_detach(
        self, node: Key, unneeded: Mapping[str, Object], used: _Volumes, view: View, now: datetime
    ) -> tuple[list[str], list[timedelta]]:
        """Which of the attachments go now, and how long to wait for others."""
        goes: list[str] = []
        waits: list[timedelta] = []
        since = self._unwanted.pop(node.name, {})
        if unneeded:
            self._unwanted[node.name] = {name: since.get(name, now) for name in unneeded}
        is_well = is_true(view.get(NODE, node) or {}, "Ready")  # it unmounts, however long that takes
        for name, attachment in unneeded.items():
            left = self._unwanted[node.name][name] + (_TO_MOUNT if name in used else _LONGEST_WAIT) - now
            if name in used and left > timedelta():
                waits.append(left)
            elif name not in used and _is_in_use(attachment, view) and (is_well or left > timedelta()):
                waits += () if is_well else (left,)
            else:
                goes.append(name)
        return goes, waits

    def _attach(
        self, node: str, wanted: _Volumes, there: Mapping[str, Object], view: View, now: datetime
    ) -> tuple[list[Action], list[timedelta]]:
        """What makes and tells of attachments, and how long to wait for them."""
        actions: list[Action] = []
        waits: list[timedelta] = []
        self._asked = {volume: who for volume, who in self._asked.items() if who != node}  # in the view, or failed
        before = self._under_way.pop(node, {})
        for name, (volume, pods) in wanted.items():
            if (told := before.get(name)) is None and dig(there.get(name, {}), "status", "attached"):
                continue
            told = told or _Progress()
            if name in there:
                actions += _tell(there[name], volume, pods, told, now)
                if dig(there[name], "status", "attached"):
                    continue
                waits.append((told.since or now) + _PATIENCE - now)
            elif others := _elsewhere(name, volume, view):
                told.is_held = True
                if holders := [each for each in others if dig(each, "status", "attached")]:
                    actions += () if told.is_told else _refuse(holders, volume, pods, view)
                    told.is_told = True
            elif volume["metadata"]["name"] in self._asked:
                told.is_held = True
                waits.append(_SOON)
            else:
                told.is_held = told.is_told = False
                if _has_one_node(volume):
                    self._asked[volume["metadata"]["name"]] = node
                actions.append(Create(ATTACHMENT, _attachment(name, volume, node)))
            self._under_way.setdefault(node, {})[name] = told
        return actions, waits


def _used(node: str, view: View) -> _Volumes:
    """What would be attachments of CSI volumes that pods of the node use."""
    found: _Volumes = {}
    if view.get(NODE, Key("", node)) is None:
        return found
    for pod in view.with_field(POD, "spec.nodeName", node):
        if is_finished(pod):
            continue
        for name in _claims_of(pod):
            claim = view.get(CLAIM, Key(pod["metadata"]["namespace"], name))
            volume = view.get(VOLUME, Key("", dig(claim or {}, "spec", "volumeName", default="")))
            source = dig(volume or {}, "spec", "csi")
            if volume is not None and source is not None:
                named = attachment_name(source["volumeHandle"], source["driver"], node)
                found.setdefault(named, (volume, []))[1].append(pod)
    return found


def _report(key: Key, view: View, attachments: list[Object]) -> list[Action]:
    """Make the node's status list what is attached; what is about to be detached is taken off before."""
    node = view.get(NODE, key)
    attached = [each for each in attachments if dig(each, "status", "attached") and not is_terminating(each)]
    names = sorted(_unique(source) for each in attached if (source := _source(each, view)))
    wanted = [{"name": name, "devicePath": ""} for name in names]
    if node is None or dig(node, "status", "volumesAttached", default=[]) == wanted:
        return []
    return [Patch(NODE, key, {"status": {"volumesAttached": wanted or None}}, subresource="status")]


def _tell(attachment: Object, volume: Object, pods: list[Object], told: _Progress, now: datetime) -> list[Emit]:
    """What has come of attaching the volume, once; `told` is brought up to it."""
    status, named = attachment.get("status") or {}, volume["metadata"]["name"]
    if status.get("attached"):
        words = f'AttachVolume.Attach succeeded for volume "{named}" '
        return [Emit(pod, "SuccessfulAttachVolume", words) for pod in pods]
    failed, why = f'AttachVolume.Attach failed for volume "{named}" : ', ""
    told.since = told.since or now
    if (error := status.get("attachError")) and error != told.error:
        told.error, why = error, error.get("message", "")
    elif now - told.since >= _PATIENCE:
        told.since, source = now, volume["spec"]["csi"]
        waits = f"external-attacher of {source['driver']} CSI driver to attach volume {source['volumeHandle']}"
        why = f"timed out waiting for {waits}"
    return [Emit(pod, _FAILED, failed + why, "Warning") for pod in pods] if why else []


def _elsewhere(name: str, volume: Object, view: View) -> list[Object]:
    """The attachments of other nodes that keep the volume from being attached: only one node may have it."""
    if not _has_one_node(volume):
        return []
    quoted = f'"{volume["metadata"]["name"]}"'.encode()
    found = [entry.object for entry in view.table(ATTACHMENT).entries.values() if quoted in entry.raw]
    return [each for each in found if each["metadata"]["name"] != name and not dig(each, "status", "attachError")]


def _has_one_node(volume: Object) -> bool:
    modes = volume["spec"].get("accessModes") or ()
    return bool(modes) and "ReadWriteMany" not in modes and "ReadOnlyMany" not in modes


def _refuse(attachments: list[Object], volume: Object, pods: list[Object], view: View) -> Iterator[Emit]:
    """Tell pods whose pods have their volume; of other namespaces no names."""
    holders = [
        holder
        for each in attachments
        for holder in _used(each["spec"]["nodeName"], view).get(each["metadata"]["name"], (volume, []))[1]
    ]
    for pod in pods:
        namespace = pod["metadata"]["namespace"]
        named = [each["metadata"]["name"] for each in holders if each["metadata"]["namespace"] == namespace]
        words = _who(named, len(holders) - len(named))
        yield Emit(pod, _FAILED, f'Multi-Attach error for volume "{volume["metadata"]["name"]}" {words}', "Warning")


def _who(named: list[str], others: int) -> str:
    if not named and not others:
        return "Volume is already exclusively attached to one node and can't be attached to another"
    parts = [f"pod(s) {', '.join(named)}"] if named else []
    parts += [f"{others} pod(s) in different namespaces"] if others else []
    return f"Volume is already used by {' and '.join(parts)}"


def _claims_of(pod: Object) -> Iterator[str]:
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"]
        elif "ephemeral" in volume:
            yield f"{pod['metadata']['name']}-{volume['name']}"


def _must_be_attached(volume: Object, view: View) -> bool:
    found = view.get(DRIVER, Key("", volume["spec"]["csi"]["driver"]))
    return found is None or dig(found, "spec", "attachRequired", default=True) is not False


def _attachment(name: str, volume: Object, node: str) -> Object:
    return {
        "apiVersion": ATTACHMENT.api_version,
        "kind": ATTACHMENT.name,
        "metadata": {"name": name},
        "spec": {
            "attacher": volume["spec"]["csi"]["driver"],
            "nodeName": node,
            "source": {"persistentVolumeName": volume["metadata"]["name"]},
        },
    }


def _is_in_use(attachment: Object, view: View) -> bool:
    """Whether the node's kubelet says that it still has the volume mounted."""
    node = view.get(NODE, Key("", attachment["spec"]["nodeName"]))
    if node is None:
        return False
    if any(taint["key"] == _OUT_OF_SERVICE for taint in dig(node, "spec", "taints", default=())):
        return False
    source = _source(attachment, view)
    return source is not None and _unique(source) in dig(node, "status", "volumesInUse", default=())


def _plugin(driver: str) -> str:
    return f"kubernetes.io/csi:{driver}"


def _unique(source: Object) -> str:
    """What a node's status calls the volume."""
    return f"kubernetes.io/csi/{source['driver']}^{source['volumeHandle']}"


def _source(attachment: Object, view: View) -> Object | None:
    name = dig(attachment, "spec", "source", "persistentVolumeName", default="")
    source: Object | None = dig(view.get(VOLUME, Key("", name)) or {}, "spec", "csi")
    return source


def _attachments(node: str, view: View) -> Iterator[Object]:
    """The node's, as far as they are of this controller's making; a volume may go before its attachment does."""
    quoted = f'"{node}"'.encode()
    for entry in view.table(ATTACHMENT).entries.values():
        if quoted not in entry.raw or entry.object["spec"]["nodeName"] != node:
            continue
        if source := _source(entry.object, view):
            is_ours = entry.key.name == attachment_name(source["volumeHandle"], source["driver"], node)
        else:
            is_ours = _OUR_NAME.fullmatch(entry.key.name) is not None
        if is_ours:
            yield entry.object


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    has_claims = b'"persistentVolumeClaim"' in entry.raw or b'"ephemeral"' in entry.raw
    if has_claims and (node := entry.object["spec"].get("nodeName")):
        yield Key("", node)


def _of_node(entry: Entry, view: View) -> Iterable[Key]:
    if view.table(ATTACHMENT).entries:
        yield entry.key


def _of_claim(entry: Entry, view: View) -> Iterable[Key]:
    """A claim may be bound after its pod got a node."""
    quoted = f'"{entry.key.name}"'.encode()
    for pod in view.table(POD).in_namespace(entry.key.namespace).values():
        if quoted in pod.raw and entry.key.name in _claims_of(pod.object):
            yield from _of_pod(pod, view)


CONTROLLER = controller()
