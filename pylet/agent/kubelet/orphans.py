"""Pods that the API no longer has, rebuilt from what the runtime keeps of them, to end as they asked. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.stopping import DEFAULT_GRACE_SECONDS
from pylet.api.object import Object
from pylet.cri.messages import Container, Sandbox


def orphan_pods(sandboxes: Iterable[Sandbox], containers: Iterable[Container], alive: set[str]) -> list[Object]:
    """One pod for every uid that is not `alive`, with what its worker needs to stop and remove it."""
    found: dict[str, Object] = {}
    for sandbox in sandboxes:
        uid = sandbox.labels.get(labels.POD_UID, "")
        if uid and uid not in alive:
            found.setdefault(uid, _pod(sandbox))
    for container in containers:
        pod = found.get(container.labels.get(labels.POD_UID, ""))
        if pod is not None:
            _add(pod, container)
    return list(found.values())


def _pod(sandbox: Sandbox) -> Object:
    names = sandbox.labels
    return {
        "metadata": {
            "name": names.get(labels.POD_NAME, ""),
            "namespace": names.get(labels.POD_NAMESPACE, ""),
            "uid": names[labels.POD_UID],
            "annotations": dict(sandbox.annotations),
        },
        "spec": {"containers": [], "terminationGracePeriodSeconds": DEFAULT_GRACE_SECONDS},
    }


def _add(pod: Object, container: Container) -> None:
    notes = container.annotations
    if labels.TERMINATION_GRACE in notes:
        pod["spec"]["terminationGracePeriodSeconds"] = int(notes[labels.TERMINATION_GRACE])
    if labels.DELETION_GRACE in notes:
        pod["metadata"]["deletionGracePeriodSeconds"] = int(notes[labels.DELETION_GRACE])
    spec: Object = {"name": container.metadata.name}
    if labels.PRE_STOP in notes:
        spec["lifecycle"] = {"preStop": json.loads(notes[labels.PRE_STOP])}
    if labels.PORTS in notes:
        spec["ports"] = json.loads(notes[labels.PORTS])
    pod["spec"]["containers"].append(spec)
