"""CSI volumes that must be attached: one VolumeAttachment for each volume and node whose pods use it.

The driver attaches and says so in its status; deleting it asks for detaching, and waits until the kubelet no longer
lists the volume as in use, unless the node is out of service. What the node has is the kubelet's to report.
Source: upstream `pkg/controller/volume/attachdetach`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

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
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Create, Delete, Plan, Watch

_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_LONGEST_WAIT = timedelta(minutes=6)


def controller() -> Controller:
    unwanted: dict[str, datetime] = {}  # attachments nobody needs, and since when

    def plan(key: Key, view: View, now: datetime) -> Plan:
        """The key is a node's."""
        wanted = dict(_wanted(key.name, view))
        actions: list[Action] = []
        waits: list[timedelta] = []
        there = set()
        for found in _attachments(key.name, view):
            name = found["metadata"]["name"]
            there.add(name)
            if name in wanted or is_terminating(found):
                unwanted.pop(name, None)
                continue
            left = unwanted.setdefault(name, now) + _LONGEST_WAIT - now
            if _is_in_use(found, view) and left > timedelta():
                waits.append(left)
            else:
                actions.append(Delete(ATTACHMENT, Key("", name), uid_of(found)))
        for name, volume in wanted.items():
            if name not in there:
                actions.append(Create(ATTACHMENT, _attachment(name, volume, key.name)))
        return Plan(tuple(actions), min(waits, default=None)) if actions or waits else NOTHING

    watches = (
        Watch(POD, _of_pod),
        Watch(ATTACHMENT, _of_attachment),
        Watch(NODE, _of_node),
        Watch(CLAIM, _of_claim),
    )
    return Controller("attachdetach", watches, plan)


def _wanted(node: str, view: View) -> Iterator[tuple[str, Object]]:
    """The attachments pods of the node need, with their volumes."""
    found = view.get(NODE, Key("", node))
    if found is None:
        return
    for pod in view.with_field(POD, "spec.nodeName", node):
        if is_finished(pod):
            continue
        for name in _claims_of(pod):
            claim = view.get(CLAIM, Key(pod["metadata"]["namespace"], name))
            volume = view.get(VOLUME, Key("", dig(claim or {}, "spec", "volumeName", default="")))
            source = dig(volume or {}, "spec", "csi")
            if volume is not None and source is not None and _must_be_attached(source["driver"], view):
                yield attachment_name(source["volumeHandle"], source["driver"], node), volume


def _claims_of(pod: Object) -> Iterator[str]:
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"]
        elif "ephemeral" in volume:
            yield f"{pod['metadata']['name']}-{volume['name']}"


def _must_be_attached(driver: str, view: View) -> bool:
    found = view.get(DRIVER, Key("", driver))
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
    if not is_true(node, "Ready") and any(t["key"] == _OUT_OF_SERVICE for t in dig(node, "spec", "taints", default=())):
        return False
    source = _source(attachment, view) or {}
    unique = f"kubernetes.io/csi/{source['driver']}^{source['volumeHandle']}"
    return unique in dig(node, "status", "volumesInUse", default=())


def _source(attachment: Object, view: View) -> Object | None:
    name = dig(attachment, "spec", "source", "persistentVolumeName", default="")
    source: Object | None = dig(view.get(VOLUME, Key("", name)) or {}, "spec", "csi")
    return source


def _attachments(node: str, view: View) -> Iterator[Object]:
    """The node's, as far as they are of this controller's making."""
    quoted = f'"{node}"'.encode()
    for entry in view.table(ATTACHMENT).entries.values():
        source = _source(entry.object, view) if quoted in entry.raw else None
        if source and entry.key.name == attachment_name(source["volumeHandle"], source["driver"], node):
            yield entry.object


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    has_claims = b'"persistentVolumeClaim"' in entry.raw or b'"ephemeral"' in entry.raw
    if has_claims and (node := entry.object["spec"].get("nodeName")):
        yield Key("", node)


def _of_attachment(entry: Entry, view: View) -> Iterable[Key]:
    yield Key("", entry.object["spec"]["nodeName"])


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
