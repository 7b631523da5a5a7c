"""Claiming pods: what comes with being owned goes with it."""

from __future__ import annotations

from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object
from pylet.client.view import Entry, Table, View
from pylet.server.reconcile.ownership import claim
from pylet.server.reconcile.plan import Patch

_TRACKED = "example.com/tracked"
_OWNED: Object = {"kind": "Job", "apiVersion": "batch/v1", "name": "it", "uid": "u", "controller": True}


def claimed(labels: dict[str, str], **meta: object) -> Object:
    """What becomes of a pod's metadata when the Job selecting a=b claims its pods."""
    pod: Object = {
        "metadata": {"name": "p", "namespace": "n", "uid": "p", "resourceVersion": "1", "labels": labels} | meta,
        "spec": {},
        "status": {"phase": "Running"},
    }
    pods = Table(POD)
    pods.put(Entry.of(POD, pod))
    job: Object = {
        "metadata": {"name": "it", "namespace": "n", "uid": "u"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}},
    }
    _, (patch,) = claim(job, JOB, View({POD: pods}), finalizer=_TRACKED)
    assert isinstance(patch, Patch)
    return patch.patch["metadata"]  # type: ignore[no-any-return]


def test_a_released_pod_keeps_no_finalizer_of_its_former_owner() -> None:
    """Nobody else would take it off: the pod, and its namespace with it, could never go."""
    found = claimed({}, ownerReferences=[_OWNED], finalizers=["other", _TRACKED])
    assert (found["ownerReferences"], found["finalizers"], found["resourceVersion"]) == ([], ["other"], "1")


def test_an_adopted_pod_gets_the_finalizer() -> None:
    found = claimed({"a": "b"})
    assert [owner["uid"] for owner in found["ownerReferences"]] == ["u"]
    assert found["finalizers"] == [_TRACKED]
