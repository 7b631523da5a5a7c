"""The policy Recycle: a pod empties a released volume, and then that is Available again. Pure.

Only a pod that this would make, and that began after the release, counts: anybody may have made one of its name.
What the pod's events say is not repeated on the volume.
Source: pv_controller.go, recycleVolumeOperation; `pkg/volume/plugins.go`, NewPersistentVolumeRecyclerPodTemplate.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pylet.api import quantity, timestamps
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig, is_terminating, key_of, uid_of
from pylet.client.view import View
from pylet.server.controllers.persistentvolume.binding import failed, unbind
from pylet.server.reconcile.plan import Action, Create, Delete, Emit

PREFIX = "recycler-for-"
_NAMESPACE = "default"
_AGAIN = timedelta(seconds=15)
_SECONDS = {"hostPath": 60, "nfs": 300}
"""What may be recycled, and how long that may take at least."""
_SECONDS_PER_GIB = 30


def steps(volume: Object, view: View, now: datetime) -> Iterator[Action]:
    source = next((name for name in _SECONDS if name in volume["spec"]), None)
    if source is None:
        yield from failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!", now)
        return
    wanted = _pod(volume, source)
    found = view.get(POD, _key(volume))
    if found is None:
        yield Create(POD, wanted)
    elif is_terminating(found):
        return
    elif not _is_the_same(found, wanted):
        yield Delete(POD, key_of(found), uid_of(found))
    elif (phase := dig(found, "status", "phase")) == "Succeeded":
        yield Delete(POD, key_of(found), uid_of(found))
        if found["metadata"]["creationTimestamp"] >= dig(volume, "status", "lastPhaseTransitionTime", default=""):
            yield Emit(volume, "VolumeRecycled", "Volume recycled")
            yield from unbind(volume, now)
    elif phase == "Failed":
        why = dig(found, "status", "message") or "pod failed, pod.Status.Message unknown"
        yield from failed(volume, "VolumeFailedRecycle", f"Recycle failed: failed to recycle volume: {why}", now)
        if again_after(volume, view, now) is None:
            yield Delete(POD, key_of(found), uid_of(found))


def again_after(volume: Object, view: View, now: datetime) -> timedelta | None:
    """How long a pod that failed stays: each is given its turn."""
    found = view.get(POD, _key(volume))
    if found is None or dig(found, "status", "phase") != "Failed":
        return None
    rest = timestamps.parse(found["metadata"]["creationTimestamp"]) + _AGAIN - now
    return rest if rest > timedelta(0) else None


def _key(volume: Object) -> Key:
    return Key(_NAMESPACE, PREFIX + volume["metadata"]["name"])


def _is_the_same(found: Object, wanted: Object) -> bool:
    """But for what defaults and admission add: nothing else runs, and on nothing else."""
    spec, (asks,) = found["spec"], wanted["spec"]["containers"]
    runs = [*(spec.get("initContainers") or ()), *spec["containers"]]
    said = [{name: each.get(name) for name in asks} for each in runs]
    for each in said:
        each["volumeMounts"] = (each["volumeMounts"] or [])[:1]
    return said == [asks] and (spec.get("volumes") or [])[:1] == wanted["spec"]["volumes"]


def _pod(volume: Object, source: str) -> Object:
    asked = volume["spec"][source]
    where = {"path": asked["path"], **({"type": ""} if source == "hostPath" else {"server": asked["server"]})}
    gib = quantity.value_of(volume["spec"]["capacity"]["storage"]) // 2**30
    scrub = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1'
    container = {
        "name": "pv-recycler",
        "image": "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6",
        "command": ["/bin/sh"],
        "args": ["-c", scrub],
        "volumeMounts": [{"name": "vol", "mountPath": "/scrub"}],
    }
    return {
        "apiVersion": "v1",
        "kind": POD.name,
        "metadata": {"name": PREFIX + volume["metadata"]["name"], "namespace": _NAMESPACE},
        "spec": {
            "activeDeadlineSeconds": max(gib * _SECONDS_PER_GIB, _SECONDS[source]),
            "restartPolicy": "Never",
            "volumes": [{"name": "vol", source: where}],
            "containers": [container],
        },
    }
