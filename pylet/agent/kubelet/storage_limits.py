"""Pods that keep more on the node's disk than they may: limits of emptyDir volumes, of pods and of containers. Pure.

Source: upstream `pkg/kubelet/eviction/eviction_manager.go` (localStorageEviction), messages included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pylet.api import podresources
from pylet.api.object import Object, dig
from pylet.api.quantity import NANOS, parse

_RESOURCE = "ephemeral-storage"


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes on the node's disk: in volumes by name, in containers (writable layer and logs) by name, and all in all."""

    volumes: Mapping[str, int]
    containers: Mapping[str, int]
    total_bytes: int


def is_limited(pod: Object) -> bool:
    """Whether anything of it has to be measured."""
    if any(dig(volume, "emptyDir", "sizeLimit") for volume in pod["spec"].get("volumes") or ()):
        return True
    return _RESOURCE in podresources.limits(pod)


def exceeded(pod: Object, kept: Kept) -> str:
    """Why the pod must go; "" where it may stay."""
    for volume in pod["spec"].get("volumes") or ():
        limit = dig(volume, "emptyDir", "sizeLimit")
        used = kept.volumes.get(volume["name"])
        if limit is not None and used is not None and 0 < parse(limit).nanos < used * NANOS:
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{parse(limit)}". '
    whole = podresources.limits(pod).get(_RESOURCE)
    if whole is not None and kept.total_bytes * NANOS > whole.nanos:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {whole}. "
    for container in pod["spec"]["containers"]:
        limit = dig(container, "resources", "limits", _RESOURCE)
        used = kept.containers.get(container["name"])
        if limit is not None and used is not None and 0 < parse(limit).nanos < used * NANOS:
            return f'Container {container["name"]} exceeded its local ephemeral storage limit "{parse(limit)}". '
    return ""
