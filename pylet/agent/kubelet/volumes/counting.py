"""How long what is done to volumes takes, as upstream counts it. Source: upstream `pkg/volume/util/metrics.go`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.volumes.interface import VolumeType, Waiting
from pylet.api.object import Object

NO_PLUGIN = "N/A"


def plugin_name(type_: VolumeType, source: Object) -> str:
    """CSI's are told apart by their drivers."""
    name = f"kubernetes.io/{type_.plugin}"
    return f"{name}:{source['driver']}" if type_.plugin == "csi" and "driver" in source else name


@contextmanager
def operation(plugin: str, name: str) -> Iterator[None]:
    """Who waits for somebody else is not counted."""
    begin, status = time.monotonic(), "success"
    try:
        yield
    except Waiting:
        status = ""
        raise
    except Exception:
        status = "fail-unknown"
        raise
    finally:
        if status:
            counters.STORAGE.observe(time.monotonic() - begin, plugin, name, status, "false")
