"""The defaults that OpenAPI version 3 publishes: Go's zero values of what is always printed, and the declared ones.

Source: `+default=` in k8s.io/api types.go; kube-openapi pkg/generators for the zero values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pylet.api.schema.compiled import compile_definition
from pylet.api.schema.node import IntOrString

_DECLARED: dict[str, Any] = {
    "AzureDiskVolumeSource.cachingMode": "ReadWrite",
    "AzureDiskVolumeSource.fsType": "ext4",
    "AzureDiskVolumeSource.kind": "Shared",
    "AzureDiskVolumeSource.readOnly": False,
    "ConfigMapEnvSource.name": "",
    "ConfigMapKeySelector.name": "",
    "ConfigMapProjection.name": "",
    "ConfigMapVolumeSource.name": "",
    "ContainerPort.protocol": "TCP",
    "DeviceToleration.operator": "Equal",
    "FileKeySelector.optional": False,
    "GRPCAction.service": "",
    "ISCSIPersistentVolumeSource.iscsiInterface": "default",
    "ISCSIVolumeSource.iscsiInterface": "default",
    "LocalObjectReference.name": "",
    "RBDPersistentVolumeSource.keyring": "/etc/ceph/keyring",
    "RBDPersistentVolumeSource.pool": "rbd",
    "RBDPersistentVolumeSource.user": "admin",
    "RBDVolumeSource.keyring": "/etc/ceph/keyring",
    "RBDVolumeSource.pool": "rbd",
    "RBDVolumeSource.user": "admin",
    "ReplicationControllerSpec.minReadySeconds": 0,
    "ReplicationControllerSpec.replicas": 1,
    "ScaleIOPersistentVolumeSource.fsType": "xfs",
    "ScaleIOPersistentVolumeSource.storageMode": "ThinProvisioned",
    "ScaleIOVolumeSource.fsType": "xfs",
    "ScaleIOVolumeSource.storageMode": "ThinProvisioned",
    "ScaleSpec.replicas": 0,
    "SecretEnvSource.name": "",
    "SecretKeySelector.name": "",
    "SecretProjection.name": "",
    "ServicePort.protocol": "TCP",
}


def defaults_of(definition: str) -> Iterator[tuple[str, Any]]:
    """Fields of that definition with their defaults."""
    struct = compile_definition(definition)
    for field, zero in struct.always:
        is_text_of_its_own = zero == "0" or isinstance(struct.fields[field], IntOrString)
        if zero is not None and not is_text_of_its_own:
            yield field, zero
    for field in struct.fields:
        place = f"{struct.go_name}.{field}"
        if place in _DECLARED:
            yield field, _DECLARED[place]
