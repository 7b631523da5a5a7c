"""Which API objects a pod refers to: mirror pods may refer to none, ServiceAccounts may restrict the secrets.

Source: pkg/api/pod/util.go, HasAPIObjectReference, VisitPodSecretNames.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pylet.api import containers
from pylet.api.object import Object, dig

_OF_VOLUMES = {
    "configMap": "configmaps (via configmap volumes)",
    "secret": "secrets (via secret volumes)",
    "csi": "csidrivers (via CSI volumes)",
    "glusterfs": "endpoints (via glusterFS volumes)",
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims (via ephemeral volumes)",
    "azureFile": "secrets (via azureFile volumes)",
}
_OF_PROJECTIONS = {
    "configMap": "configmaps (via projected volumes)",
    "secret": "secrets (via projected volumes)",
    "serviceAccountToken": "serviceaccounts (via projected volumes)",
    "clusterTrustBundle": "clustertrustbundles",
    "podCertificate": "podcertificates",
}


def first(spec: Object) -> str:
    """What the pod refers to that it may not if it is a mirror, as messages name it; "" for nothing."""
    if spec.get("serviceAccountName"):
        return "serviceaccounts"
    if next(secrets(spec), None):
        return "secrets"
    if next(config_maps(spec), None):
        return "configmaps"
    if spec.get("resourceClaims"):
        return "resourceclaims"
    for volume in spec.get("volumes") or ():
        for sort, name in _OF_VOLUMES.items():
            if sort in volume:
                return name
        for source in dig(volume, "projected", "sources", default=()):
            for sort, name in _OF_PROJECTIONS.items():
                if sort in source:
                    return name
    return ""


def secrets(spec: Object) -> Iterator[str]:
    """Names of the secrets it refers to, wherever it may."""
    yield from (found["name"] for found in spec.get("imagePullSecrets") or () if found.get("name"))
    for container in containers.every(spec):
        yield from (name for _, name in container_secrets_by_variable(container) if name)
    for volume in spec.get("volumes") or ():
        for sort, source in volume.items():
            yield from filter(None, _secrets_of_source(sort, source))


def _secrets_of_source(sort: str, source: Any) -> Iterator[str | None]:
    match sort:
        case "secret" | "azureFile":
            yield dig(source, "secretName")
        case "projected":
            yield from (dig(part, "secret", "name") for part in source.get("sources") or ())
        case "csi":
            yield dig(source, "nodePublishSecretRef", "name")
        case _:
            yield dig(source, "secretRef", "name")


def container_secrets_by_variable(container: Object) -> Iterator[tuple[str, str]]:
    """(the variable, the secret) of a container's environment; the variable is "" for a whole secret."""
    for variable in container.get("env") or ():
        reference = dig(variable, "valueFrom", "secretKeyRef")
        if reference is not None:
            yield variable.get("name", ""), reference.get("name") or ""
    for source in container.get("envFrom") or ():
        if source.get("secretRef") is not None:
            yield "", source["secretRef"].get("name") or ""


def config_maps(spec: Object) -> Iterator[str]:
    """Names of the ConfigMaps it refers to."""
    for container in containers.every(spec):
        yield from filter(None, (dig(found, "configMapRef", "name") for found in container.get("envFrom") or ()))
        for variable in container.get("env") or ():
            if name := dig(variable, "valueFrom", "configMapKeyRef", "name"):
                yield name
    for volume in spec.get("volumes") or ():
        if name := dig(volume, "configMap", "name"):
            yield name
        for source in dig(volume, "projected", "sources", default=()):
            if name := dig(source, "configMap", "name"):
                yield name
