"""A kubelet changes its own Node and what runs on it, and nothing else.

Source: plugin/pkg/admission/noderestriction; labels: staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import NamedTuple

from pylet.api.errors import NotFound
from pylet.api.object import Key, Object, annotations_of, dig, labels_of, owners_of
from pylet.api.podspec import apireferences
from pylet.client.view import Entry
from pylet.server.admission.interface import CREATE, DELETE, UPDATE, Attributes, Plugin

_USER_PREFIX = "system:node:"
_GROUP = "system:nodes"
_MIRROR = "kubernetes.io/config.mirror"
_LEASE_NAMESPACE = "kube-node-lease"
_NODE_SIGNERS = ("kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet")
_LOCAL_VOLUME, _LOCAL_PATH = "pylet.io/node", "pylet.io/local-path"
_GROWTH = ("capacity", "conditions", "allocatedResourceStatuses", "allocatedResources")
_BOOKKEEPING = ("resourceVersion", "managedFields")
_KUBELET_LABELS = frozenset(
    (
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "node.kubernetes.io/instance-type",
        "node.kubernetes.io/windows-build",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
)
_KUBELET_LABEL_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESTRICTED_DOMAIN = "node-restriction.kubernetes.io"


async def admit(write: Attributes) -> None:
    if _GROUP not in write.user.groups or not write.user.name.startswith(_USER_PREFIX):
        return
    node = write.user.name.removeprefix(_USER_PREFIX)
    if not node:
        raise write.forbidden(f'could not determine node from user "{write.user.name}"')
    plural, subresource = write.kind.plural, write.subresource
    rule = _RULES.get(f"{plural}/{subresource}" if subresource else plural) or _RULES[f"{plural}/*"]
    rule.judge(write, node)


def _pod(write: Attributes) -> Entry:
    entry = write.table("Pod").entries.get(write.key)
    if entry is None:
        raise NotFound("", "pod", write.key.name)  # as upstream's lister names it
    return entry


def _admit_pod(write: Attributes, node: str) -> None:
    if write.operation == DELETE:
        if _pod(write).object["spec"].get("nodeName") != node:
            raise write.forbidden(f'node "{node}" can only delete pods with spec.nodeName set to itself')
        return
    if write.operation != CREATE:
        why = f'unexpected operation "{write.operation.upper()}", node "{node}" can only create and delete mirror pods'
        raise write.forbidden(why)
    pod = write.obj
    assert pod is not None
    if _MIRROR not in annotations_of(pod):
        raise write.forbidden(f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror pods')
    if pod["spec"].get("nodeName") != node:
        raise write.forbidden(f'node "{node}" can only create pods with spec.nodeName set to itself')
    _check_owner(write, node, owners_of(pod))
    if referred := apireferences.first(pod["spec"]):
        raise write.forbidden(f'node "{node}" can not create pods that reference {referred}')


def _check_owner(write: Attributes, node: str, owners: list[Object]) -> None:
    if len(owners) > 1:
        raise write.forbidden(f'node "{node}" can only create pods with a single owner reference set to itself')
    if not owners or (owners[0].get("apiVersion"), owners[0].get("kind"), owners[0].get("name")) != (
        "v1",
        "Node",
        node,
    ):
        raise write.forbidden(f'node "{node}" can only create pods with an owner reference set to itself')
    owner = owners[0]
    if not owner.get("controller"):
        raise write.forbidden(f'node "{node}" can only create pods with a controller owner reference set to itself')
    if owner.get("blockOwnerDeletion"):
        raise write.forbidden(f'node "{node}" must not set blockOwnerDeletion on an owner reference')
    entry = write.table("Node").entries.get(Key("", node))
    if entry is None:
        raise NotFound("", "node", node)
    if owner.get("uid") != entry.uid:
        raise write.forbidden(f"node {node} UID mismatch: expected {owner.get('uid')} got {entry.uid}")


def _admit_eviction(write: Attributes, node: str) -> None:
    if _pod(write).object["spec"].get("nodeName") != node:
        raise write.forbidden(f"node {node} can only evict pods with spec.nodeName set to itself")


def _refuse_subresource(write: Attributes, node: str) -> None:
    what = f'unexpected pod subresource "{write.subresource}"'
    raise write.forbidden(f"{what}, only 'status' and 'eviction' are allowed")


def _admit_pod_status(write: Attributes, node: str) -> None:
    assert write.obj is not None
    assert write.old is not None
    if write.old["spec"].get("nodeName") != node:
        raise write.forbidden(f'node "{node}" can only update pod status for pods with spec.nodeName set to itself')
    if labels_of(write.obj) != labels_of(write.old):
        raise write.forbidden(f'node "{node}" cannot update labels through pod status')
    before, after = (obj.get("status") or {} for obj in (write.old, write.obj))
    if before.get("resourceClaimStatuses") != after.get("resourceClaimStatuses"):
        raise write.forbidden(f'node "{node}" cannot update resource claim statues')
    if before.get("extendedResourceClaimStatus") != after.get("extendedResourceClaimStatus"):
        raise write.forbidden(f'node "{node}" cannot update extended resource claim status')


def _refuse_claim(write: Attributes, node: str) -> None:
    raise write.forbidden("may only update PVC status")


def _admit_claim_status(write: Attributes, node: str) -> None:
    assert write.obj is not None
    assert write.old is not None
    if _but_for_growth(write.obj) != _but_for_growth(write.old):
        what = "fields other than status.quantity and status.conditions"
        raise write.forbidden(f'node "{node}" is not allowed to update {what}')


def _admit_volume(write: Attributes, node: str) -> None:
    """A local volume whose directory is gone is let go of: nothing else of volumes is a node's business."""
    assert write.obj is not None
    assert write.old is not None
    if labels_of(write.old).get(_LOCAL_VOLUME) != node:
        raise write.forbidden(f'node "{node}" can only update its own local volumes')
    before, after = (obj["metadata"].get("finalizers") or [] for obj in (write.old, write.obj))
    if _but_for_finalizers(write.obj) != _but_for_finalizers(write.old) or set(before) - {_LOCAL_PATH} != set(after):
        raise write.forbidden(f'node "{node}" is only allowed to remove the finalizer {_LOCAL_PATH} of a volume')


def _but_for_finalizers(volume: Object) -> Object:
    meta = {name: value for name, value in volume["metadata"].items() if name not in (*_BOOKKEEPING, "finalizers")}
    return {**volume, "metadata": meta}


def _but_for_growth(claim: Object) -> Object:
    """The claim without what its node may say, or what says only who wrote it."""
    meta = {name: value for name, value in claim["metadata"].items() if name not in _BOOKKEEPING}
    status = {name: value for name, value in (claim.get("status") or {}).items() if name not in _GROWTH}
    return {**claim, "metadata": meta, "status": status}


def _admit_node(write: Attributes, node: str) -> None:
    if write.key.name != node:
        raise write.forbidden(f'node "{node}" is not allowed to modify node "{write.key.name}"')
    if write.obj is None:
        return
    old = write.old
    source = dig(write.obj, "spec", "configSource")
    if source is not None and old is None:
        raise write.forbidden(f'node "{node}" is not allowed to create pods with a non-nil configSource')
    if old is not None:
        if source is not None and source != dig(old, "spec", "configSource"):
            raise write.forbidden(f'node "{node}" is not allowed to update configSource to a new non-nil configSource')
        if (write.obj.get("spec") or {}).get("taints") != (old.get("spec") or {}).get("taints"):
            raise write.forbidden(f'node "{node}" is not allowed to modify taints')
        if owners_of(write.obj) != owners_of(old):
            raise write.forbidden(f'node "{node}" is not allowed to modify ownerReferences')
    before = labels_of(old) if old is not None else {}
    after = labels_of(write.obj)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    refused = ", ".join(sorted(name for name in changed if _is_refused_label(name)))
    if refused and old is None:
        raise write.forbidden(f'node "{node}" is not allowed to set the following labels: {refused}')
    if refused:
        raise write.forbidden(f"is not allowed to modify labels: {refused}")


def _is_refused_label(name: str) -> bool:
    domain = name.partition("/")[0] if "/" in name else ""
    if _within(domain, _RESTRICTED_DOMAIN):
        return True
    if not (_within(domain, "kubernetes.io") or _within(domain, "k8s.io")) or name in _KUBELET_LABELS:
        return False
    return not any(_within(domain, allowed) for allowed in _KUBELET_LABEL_DOMAINS)


def _within(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith("." + parent)


def _admit_lease(write: Attributes, node: str) -> None:
    if write.key.namespace != _LEASE_NAMESPACE:
        raise write.forbidden(f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace')
    if write.key.name != node:
        raise write.forbidden("can only access node lease with the same name as the requesting node")


def _admit_csi_node(write: Attributes, node: str) -> None:
    if write.key.name != node:
        raise write.forbidden("can only access CSINode with the same name as the requesting node")


def _admit_slice(write: Attributes, node: str) -> None:
    obj = write.obj or write.old
    if write.operation != UPDATE and dig(obj, "spec", "nodeName") != node:
        what = "create" if write.operation == CREATE else "delete"
        raise write.forbidden(f"can only {what} ResourceSlice with the same NodeName as the requesting node")


def _admit_request(write: Attributes, node: str) -> None:
    spec = (write.obj or {}).get("spec") or {}
    if spec.get("signerName") not in _NODE_SIGNERS:
        return
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        parsed = x509.load_pem_x509_csr(base64.b64decode(spec.get("request") or ""))
    except ValueError as broken:
        raise write.forbidden(f"unable to parse csr: {broken}") from broken
    names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [name.value for name in names] != [_USER_PREFIX + node]:
        raise write.forbidden(f"can only create a node CSR with CN={_USER_PREFIX}{node}")


def _admit_token(write: Attributes, node: str) -> None:
    assert write.obj is not None
    bound = (write.obj.get("spec") or {}).get("boundObjectRef") or {}
    if (bound.get("apiVersion"), bound.get("kind")) != ("v1", "Pod") or not bound.get("name"):
        raise write.forbidden("node requested token not bound to a pod")
    if not bound.get("uid"):
        raise write.forbidden("node requested token with a pod binding without a uid")
    entry = write.table("Pod").entries.get(Key(write.key.namespace, bound["name"]))
    if entry is None:
        raise NotFound("", "pod", bound["name"])
    if entry.uid != bound["uid"]:
        raise write.forbidden(
            f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
    if entry.object["spec"].get("nodeName") != node:
        raise write.forbidden("node requested token bound to a pod scheduled on a different node")


class _Rule(NamedTuple):
    judge: Callable[[Attributes, str], None]
    """Given the write and the node that asks for it. Raises: ApiError."""
    operations: frozenset[str] = frozenset((CREATE, UPDATE, DELETE))


_RULES = {
    "pods": _Rule(_admit_pod),
    "pods/status": _Rule(_admit_pod_status),
    "pods/eviction": _Rule(_admit_eviction),
    "pods/*": _Rule(_refuse_subresource),
    "nodes": _Rule(_admit_node),
    "nodes/*": _Rule(_admit_node),
    "leases": _Rule(_admit_lease),
    "persistentvolumeclaims": _Rule(_refuse_claim),
    "persistentvolumeclaims/status": _Rule(_admit_claim_status),
    "persistentvolumeclaims/*": _Rule(_refuse_claim),
    "persistentvolumes": _Rule(_admit_volume, frozenset((UPDATE,))),
    "csinodes": _Rule(_admit_csi_node),
    "resourceslices": _Rule(_admit_slice),
    "certificatesigningrequests": _Rule(_admit_request, frozenset((CREATE,))),
    "serviceaccounts/token": _Rule(_admit_token, frozenset((CREATE,))),
}
PLUGIN = Plugin("NodeRestriction", {resource: rule.operations for resource, rule in _RULES.items()}, admit)
