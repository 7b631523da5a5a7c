"""What concerns a node: the pods bound to it and all they use, found on demand through the watch cache's indexes.

Secret, ConfigMap, ServiceAccount, claims → pod → node; volume → claim → pod; Secret → volume; attachment, slice → node.
Source: plugin/pkg/auth/authorizer/node/graph.go, pkg/api/v1/{pod,persistentvolume}/util.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pylet.api.kind import Kind
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.resourceslice import KIND as SLICE
from pylet.api.kinds.volumeattachment import KIND as ATTACHMENT
from pylet.api.object import Key, Object, annotations_of, dig
from pylet.api.podspec import apireferences

_MIRROR = "kubernetes.io/config.mirror"
_CONTROLLERS = ("controllerPublishSecretRef", "controllerExpandSecretRef")
"""Secrets of a CSI volume that are no node's."""
_OF_NODE = {"volumeattachments": ATTACHMENT, "resourceslices": SLICE}

PodsOn = Callable[[str], Iterable[Object]]
"""The pods bound to a node."""
Find = Callable[[Kind, Key], Object | None]
Certificates = Callable[[str], Iterable[Key]]


class Relations:
    """Beyond upstream, the `certificates` of a namespace's Ingresses concern every node: all serve them."""

    def __init__(self, pods_on: PodsOn, find: Find, certificates: Certificates = lambda namespace: ()) -> None:
        self._pods_on = pods_on
        self._find = find
        self._certificates = certificates

    def concern(self, node: str, resource: str, namespace: str, name: str) -> bool:
        """Whether the object concerns the node."""
        if resource in _OF_NODE:
            found = self._find(_OF_NODE[resource], Key("", name))
            return found is not None and found["spec"].get("nodeName") == node
        pods = self._pods_on(node)
        if resource == "pods":
            return any(pod["metadata"]["name"] == name and pod["metadata"]["namespace"] == namespace for pod in pods)
        users = [pod for pod in pods if _MIRROR not in annotations_of(pod)]
        if resource == "persistentvolumes":
            return self._is_claimed(users, name)
        if any(pod["metadata"]["namespace"] == namespace and name in references(pod, resource) for pod in users):
            return True
        if resource != "secrets":
            return False
        key = Key(namespace, name)
        return key in self._certificates(namespace) or key in self._secrets_of_volumes(users)

    def is_labelled(self, volume: str, label: str, value: str) -> bool:
        """Whether there is such a PersistentVolume, and it bears the label."""
        return bool(
            dig(self._find(VOLUME, Key("", volume)) or {}, "metadata", "labels", default={}).get(label) == value
        )

    def _is_claimed(self, pods: Iterable[Object], volume: str) -> bool:
        claim = dig(self._find(VOLUME, Key("", volume)) or {}, "spec", "claimRef", default={})
        return any(
            pod["metadata"]["namespace"] == claim.get("namespace")
            and claim.get("name") in references(pod, "persistentvolumeclaims")
            for pod in pods
        )

    def _secrets_of_volumes(self, pods: Iterable[Object]) -> Iterator[Key]:
        for pod in pods:
            namespace = pod["metadata"]["namespace"]
            for name in references(pod, "persistentvolumeclaims"):
                claim = self._find(CLAIM, Key(namespace, name)) or {}
                volume = self._find(VOLUME, Key("", dig(claim, "spec", "volumeName", default="")))
                bound = dig(volume or {}, "spec", "claimRef", default={})
                if volume is not None and (bound.get("namespace"), bound.get("name")) == (namespace, name):
                    yield from _secrets_of(volume, namespace)


def references(pod: Object, resource: str) -> Iterator[str]:
    """Names of the objects of that resource the pod uses, all in its namespace."""
    spec = pod["spec"]
    match resource:
        case "serviceaccounts":
            yield spec.get("serviceAccountName") or "default"
        case "secrets":
            yield from apireferences.secrets(spec)
        case "configmaps":
            yield from apireferences.config_maps(spec)
        case "persistentvolumeclaims":
            for volume in spec.get("volumes") or ():
                yield dig(volume, "persistentVolumeClaim", "claimName", default="")
                if volume.get("ephemeral"):
                    yield f"{pod['metadata']['name']}-{volume['name']}"
        case "resourceclaims":
            status = pod.get("status") or {}
            for claim in (*(spec.get("resourceClaims") or ()), *(status.get("resourceClaimStatuses") or ())):
                yield claim.get("resourceClaimName") or ""
            yield dig(status, "extendedResourceClaimStatus", "resourceClaimName", default="")


def _secrets_of(volume: Object, namespace: str) -> Iterator[Key]:
    """Secrets a PersistentVolume names for nodes, without a namespace in that of its claim."""
    for source in volume["spec"].values():
        if isinstance(source, dict):
            for field, value in source.items():
                if field.endswith(("secretRef", "SecretRef")) and field not in _CONTROLLERS:
                    yield Key(value.get("namespace") or namespace, value.get("name") or "")
            if source.get("secretName"):
                yield Key(source.get("secretNamespace") or namespace, source["secretName"])
