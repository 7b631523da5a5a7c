"""A container runtime whose calls are counted and timed.

Source: upstream `pkg/kubelet/kuberuntime/instrumented_services.go`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from pylet.agent.kubelet import counters
from pylet.cri.interface import CriError, Runtime

_NAMES = {
    "version": "version",
    "conditions": "status",
    "run_sandbox": "run_podsandbox",
    "stop_sandbox": "stop_podsandbox",
    "remove_sandbox": "remove_podsandbox",
    "sandbox_status": "podsandbox_status",
    "list_sandboxes": "list_podsandbox",
    "create_container": "create_container",
    "start_container": "start_container",
    "stop_container": "stop_container",
    "remove_container": "remove_container",
    "container_status": "container_status",
    "list_containers": "list_containers",
    "update_resources": "update_container",
    "reopen_log": "reopen_container_log",
    "checkpoint_container": "checkpoint_container",
    "container_stats": "list_container_stats",
    "exec_sync": "exec_sync",
    "exec": "exec",
    "attach": "attach",
    "port_forward": "port_forward",
    "list_images": "list_images",
    "image_status": "image_status",
    "pull_image": "pull_image",
    "remove_image": "remove_image",
    "image_filesystems": "image_fs_info",
}


def counted(runtime: Runtime) -> Runtime:
    """The same runtime; what is no call of it is passed on as it is."""
    return cast(Runtime, _Counted(runtime))


class _Counted:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._runtime, name)
        if name in _NAMES:
            found = _timed(found, _NAMES[name])
            setattr(self, name, found)
        return found


def _timed(call: Callable[..., Awaitable[Any]], operation: str) -> Callable[..., Awaitable[Any]]:
    async def timed(*arguments: Any, **named: Any) -> Any:
        begin = time.monotonic()
        counters.OPERATIONS.add(operation)
        try:
            return await call(*arguments, **named)
        except CriError:
            counters.OPERATION_ERRORS.add(operation)
            raise
        finally:
            counters.OPERATION_SECONDS.observe(time.monotonic() - begin, operation)

    return timed
