"""Volumes: one file per type declares `VOLUME`; `mounter` makes a pod's volumes real and keeps them up to date."""

import importlib
import pkgutil

from pylet.agent.kubelet.volumes.interface import VolumeType


def volume_types() -> dict[str, VolumeType]:
    """Every volume type of this package by the name of its source field (`emptyDir`)."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    found = [module.VOLUME for module in modules if hasattr(module, "VOLUME")]
    return {volume.source: volume for volume in found}
