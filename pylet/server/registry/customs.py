"""Where kinds differ on the write path in ways that upstream's storage objects, not their strategies, decide.

Source: AllowCreateOnUpdate, AllowUnconditionalUpdate and ReturnDeletedObject in pkg/registry,
SpecialDefaultResourcePrefixes in pkg/kubeapiserver.
"""

from __future__ import annotations

from pylet.api.kind import Kind
from pylet.api.object import Key

_CREATED_BY_UPDATE = {
    "clusterrolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "endpoints",
    "events",
    "leases.coordination.k8s.io",
    "limitranges",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "runtimeclasses.node.k8s.io",
    "services",
}
_BY_STATUS = ("services", "status")  # without an address: upstream allocates with the object itself alone
_BY_APPLIED_STATUS = ("validatingadmissionpolicies.admissionregistration.k8s.io", "status")
_UPDATED_WITH_VERSION = {
    "apiservices.apiregistration.k8s.io",
    "csidrivers.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "leases.coordination.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "poddisruptionbudgets.policy",
    "runtimeclasses.node.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "volumeattachments.storage.k8s.io",
}
_ANSWERED_WHEN_DELETED = {
    "csidrivers.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "deviceclasses.resource.k8s.io",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourceclaims.resource.k8s.io",
    "resourceclaimtemplates.resource.k8s.io",
    "resourcequotas",
    "resourceslices.resource.k8s.io",
    "serviceaccounts",
    "services",
    "storageclasses.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "volumeattributesclasses.storage.k8s.io",
}


_ORPHANS = {"jobs.batch", "replicationcontrollers"}
_PODS_STAY = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them "
    "or set propagationPolicy=Orphan to suppress this warning"
)


_FREE_FINALIZERS = {
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "policy",
}


def knows_finalizers(kind: Kind) -> bool:
    """Whether finalizers without a domain have to be Kubernetes' own."""
    return kind.schema is None and kind.group not in _FREE_FINALIZERS and kind.resource != "events"


def delete_warnings(kind: Kind, propagation: str) -> tuple[str, ...]:
    return (_PODS_STAY,) if kind.resource == "jobs.batch" and not propagation else ()


def orphans(kind: Kind) -> bool:
    """Whether what it owns stays when nobody says what shall become of it."""
    return kind.resource in _ORPHANS


def names_itself(kind: Kind) -> bool:
    """Whether an object without a name is given a UUID for one."""
    return kind.resource == "limitranges"


def judges_metadata_last(kind: Kind) -> bool:
    """Whether a new object's metadata is looked at only when all else is well: rules of other kinds include it."""
    return kind.resource in ("events", "poddisruptionbudgets.policy")


def is_created_by_update(kind: Kind, subresource: str) -> bool:
    """Whether a PUT of a missing object, or of its subresource, creates it."""
    return kind.resource in _CREATED_BY_UPDATE and (not subresource or (kind.resource, subresource) == _BY_STATUS)


def is_created_by_apply(kind: Kind, subresource: str) -> bool:
    """Whether applying a missing object, or its subresource, creates it."""
    return not subresource or (kind.resource, subresource) in (_BY_STATUS, _BY_APPLIED_STATUS)


def needs_version(kind: Kind) -> bool:
    """Whether an update must carry a resourceVersion."""
    return kind.resource in _UPDATED_WITH_VERSION or kind.schema is not None


def answers_deleted(kind: Kind) -> bool:
    """Whether deleting answers the object itself; other kinds answer a Status."""
    return kind.resource in _ANSWERED_WHEN_DELETED


_PLACES = {
    "endpoints": "services/endpoints",
    "ingresses.networking.k8s.io": "ingress",
    "nodes": "minions",
    "replicationcontrollers": "controllers",
    "services": "services/specs",
}
_PLACED_BY_GROUP = ("apiextensions.k8s.io", "apiregistration.k8s.io")


def place(kind: Kind, key: Key, *, is_whole: bool) -> str:
    """The key of an object in upstream's store, where messages tell it; if not `is_whole`, without what all share."""
    has_group = kind.schema is not None or kind.group in _PLACED_BY_GROUP
    kinds = f"{kind.group}/{kind.plural}" if has_group else _PLACES.get(kind.resource, kind.plural)
    names = "/".join(filter(None, (kinds, *key)))
    return f"/registry/{names}" if is_whole else f"/{names}"
