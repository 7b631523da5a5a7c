"""The local storage provisioner: a claim of a class with this provisioner gets a directory of its own on a node.

What it agrees with the nodes' kubelets on: a volume it made has the annotations `pv.kubernetes.io/provisioned-by:
pylet.io/local-path` and `pylet.io/node`, the latter as a label too (a node may list what is labelled with its name), a
`hostPath` of type DirectoryOrCreate, and the finalizer `pylet.io/local-path`. That node's kubelet makes the directory
(mode 0777) when it mounts the volume. Deleting is asked for by the volume's deletionTimestamp: once it is Released the
kubelet removes the directory, if the reclaim policy is Delete, and after that the finalizer. For a node that is gone
the finalizer is removed here.
As an external provisioner it acts on the binder's annotations alone. Precedent: rancher's local-path-provisioner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.storageclass import KIND as STORAGE_CLASS
from pylet.api.object import Key, Object, annotations_of, dig, is_terminating, labels_of, uid_of
from pylet.api.volumebinding import PROVISIONED_BY, PROVISIONER, SELECTED_NODE, claim_reference, class_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.finalizers import without_finalizer
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Create, Delete, Emit, Plan, Update, Watch

NAME = "pylet.io/local-path"
NODE_ANNOTATION = "pylet.io/node"
_ROOT = "/var/lib/pylet/storage"
_HOSTNAME = "kubernetes.io/hostname"


def plan(key: Key, view: View, now: datetime) -> Plan:
    if key.namespace:
        claim = view.get(CLAIM, key)
        return Plan(tuple(_provision(claim, view))) if claim is not None and _is_asked(claim) else NOTHING
    volume = view.get(VOLUME, key)
    return Plan(tuple(_dispose(volume, view))) if volume is not None and _is_ours(volume) else NOTHING


def _is_asked(claim: Object) -> bool:
    return (
        annotations_of(claim).get(PROVISIONER) == NAME
        and not claim["spec"].get("volumeName")
        and not is_terminating(claim)
    )


def _is_ours(volume: Object) -> bool:
    return annotations_of(volume).get(PROVISIONED_BY) == NAME


def _provision(claim: Object, view: View) -> Iterator[Action]:
    name = f"pvc-{uid_of(claim)}"
    storage_class = view.get(STORAGE_CLASS, Key("", class_of(claim)))
    if storage_class is None or view.get(VOLUME, Key("", name)) is not None:
        return
    node = view.get(NODE, Key("", annotations_of(claim).get(SELECTED_NODE, "")))
    if (why := _refusal(claim, node)) is not None:
        says = f'failed to provision volume with StorageClass "{storage_class["metadata"]["name"]}": {why}'
        yield Emit(claim, "ProvisioningFailed", says, "Warning")
        if SELECTED_NODE in annotations_of(claim):  # the scheduler may find another
            left = {name: value for name, value in annotations_of(claim).items() if name != SELECTED_NODE}
            yield Update(CLAIM, {**claim, "metadata": {**claim["metadata"], "annotations": left}})
        return
    assert node is not None
    meta = claim["metadata"]
    says = f'External provisioner is provisioning volume for claim "{meta["namespace"]}/{meta["name"]}"'
    yield Emit(claim, "Provisioning", says)
    told = Emit(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}")
    yield Create(VOLUME, _volume(name, claim, storage_class, node), told)


def _refusal(claim: Object, node: Object | None) -> str | None:
    spec = claim["spec"]
    if spec.get("selector") is not None:
        return "claim.Spec.Selector is not supported"
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        return "block volumes are not supported"
    if spec.get("dataSource") is not None or spec.get("dataSourceRef") is not None:
        return "data sources are not supported"
    shared = {"ReadWriteMany", "ReadOnlyMany"} & set(spec.get("accessModes") or ())
    if shared:
        return f"access modes across nodes are not supported: {', '.join(sorted(shared))}"
    if node is None:
        return "no node has been selected: a StorageClass of this provisioner waits for the first consumer"
    return None


def _volume(name: str, claim: Object, storage_class: Object, node: Object) -> Object:
    meta, spec = claim["metadata"], claim["spec"]
    root = dig(storage_class, "parameters", "path", default=_ROOT).rstrip("/")
    host = labels_of(node).get(_HOSTNAME, node["metadata"]["name"])
    at = {"key": _HOSTNAME, "operator": "In", "values": [host]}
    return {
        "apiVersion": "v1",
        "kind": VOLUME.name,
        "metadata": {
            "name": name,
            "labels": {NODE_ANNOTATION: node["metadata"]["name"]},
            "annotations": {PROVISIONED_BY: NAME, NODE_ANNOTATION: node["metadata"]["name"]},
            "finalizers": [NAME],
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": "Filesystem",
            "claimRef": claim_reference(claim),
            "hostPath": {"path": f"{root}/{name}_{meta['namespace']}_{meta['name']}", "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [at]}]}},
            **({"mountOptions": options} if (options := storage_class.get("mountOptions")) else {}),
        },
    }


def _dispose(volume: Object, view: View) -> Iterator[Action]:
    if is_terminating(volume):
        if view.get(NODE, Key("", annotations_of(volume).get(NODE_ANNOTATION, ""))) is None:
            yield from without_finalizer(VOLUME, volume, NAME)
        return
    is_free = dig(volume, "status", "phase") == "Released"
    if is_free and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
        yield Delete(VOLUME, Key("", volume["metadata"]["name"]), uid_of(volume))


def _of_ours(entry: Entry, view: View) -> Iterable[Key]:
    if NAME.encode() in entry.raw:
        yield entry.key


def _of_node(entry: Entry, view: View) -> Iterable[Key]:
    """One that is gone takes its directories along."""
    if entry.key not in view.table(NODE).entries:
        for volume in view.table(VOLUME).entries.values():
            if NAME.encode() in volume.raw and b'"deletionTimestamp"' in volume.raw:
                yield volume.key


CONTROLLER = Controller("local-path", (Watch(CLAIM, _of_ours), Watch(VOLUME, _of_ours), Watch(NODE, _of_node)), plan)
