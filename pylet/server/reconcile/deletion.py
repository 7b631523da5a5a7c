"""How a workload's pod is deleted: the workload tells of it, or of what stood against it. Pure.

Source: upstream `pkg/controller/controller_utils.go` (RealPodControl.DeletePod).
"""

from __future__ import annotations

from pylet.api.errors import ApiError
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object
from pylet.server.reconcile.plan import Action, Delete, Emit


def delete_pod(key: Key, uid: str, workload: Object) -> Delete:
    def refused(error: ApiError) -> tuple[Action, ...]:
        return (Emit(workload, "FailedDelete", f"Error deleting: {error.message}", "Warning"),)

    told = Emit(workload, "SuccessfulDelete", f"Deleted pod: {key.name}")
    return Delete(POD, key, uid, told=told, refused=refused)
