"""Claiming pods: what comes with being owned goes with it."""

from __future__ import annotations

import pytest

from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.reconcile.ownership import claim, claim_parts, of_part
from pylet.server.reconcile.plan import Action, Patch

_TRACKED = "example.com/tracked"
_OWNED: Object = {"kind": "Job", "apiVersion": "batch/v1", "name": "it", "uid": "u", "controller": True}
_ALIVE: Object = {"name": "it", "namespace": "n", "uid": "u"}
_GOING: Object = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
_HELD: Object = _OWNED | {"kind": "Deployment", "apiVersion": "apps/v1"}
_OTHER: Object = {"kind": "ConfigMap", "apiVersion": "v1", "name": "it", "uid": "other"}


def claims(labels: dict[str, str], job_meta: Object = _ALIVE, **meta: object) -> tuple[Action, ...]:
    """Of the pod of a Job selecting a=b."""
    pod: Object = {
        "metadata": {"name": "p", "namespace": "n", "uid": "p", "resourceVersion": "1", "labels": labels} | meta,
        "spec": {},
        "status": {"phase": "Running"},
    }
    pods = Table(POD)
    pods.put(Entry.of(POD, pod))
    job: Object = {
        "metadata": job_meta,
        "spec": {"selector": {"matchLabels": {"a": "b"}}},
    }
    return claim(job, JOB, View({POD: pods}), finalizer=_TRACKED)[1]


def claimed(labels: dict[str, str], **meta: object) -> Object:
    """What becomes of the pod's metadata."""
    (patch,) = claims(labels, **meta)
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


def test_a_pod_that_its_workload_owns_and_does_not_control_is_adopted() -> None:
    found = claimed({"a": "b"}, ownerReferences=[_OTHER, _OWNED | {"controller": False}])
    assert [(owner["uid"], owner.get("controller")) for owner in found["ownerReferences"]] == [
        ("other", None),
        ("u", True),
    ]


def test_a_workload_that_goes_lets_go_of_nothing() -> None:
    """What it still owns goes with it."""
    assert claims({}, _ALIVE | _GOING, ownerReferences=[_OWNED]) == ()


@pytest.mark.parametrize(
    ("labels", "owners", "going", "is_owned", "left"),
    [
        pytest.param({"a": "b"}, [_HELD], {}, True, None, id="its own"),
        pytest.param({"a": "b"}, [_OTHER], {}, False, ["other", "u"], id="nobody's: others stay owners"),
        pytest.param({"a": "b"}, [_OTHER, _HELD | {"controller": False}], {}, False, ["other", "u"], id="owned only"),
        pytest.param({}, [_OTHER, _HELD], {}, False, ["other"], id="no longer selected"),
        pytest.param({"a": "b"}, [_OTHER | {"controller": True}], {}, False, None, id="somebody else's"),
        pytest.param({"a": "b"}, [], {"part"}, False, None, id="going"),
        pytest.param({"a": "b"}, [], {"workload"}, False, None, id="nobody's, as the workload goes"),
        pytest.param({}, [_HELD], {"workload"}, False, None, id="no longer selected, as the workload goes"),
    ],
)
def test_what_is_no_pod_follows_the_selector(
    labels: dict[str, str], owners: list[Object], going: set[str], is_owned: bool, left: list[str] | None
) -> None:
    meta: Object = {"name": "r", "namespace": "n", "uid": "r", "resourceVersion": "1", "labels": labels}
    part: Object = {"metadata": meta | {"ownerReferences": owners} | (_GOING if "part" in going else {}), "spec": {}}
    table = Table(REPLICA_SET)
    table.put(Entry.of(REPLICA_SET, part))
    workload: Object = {
        "metadata": _ALIVE | (_GOING if "workload" in going else {}),
        "spec": {"selector": {"matchLabels": {"a": "b"}}},
    }
    owned, written = claim_parts(workload, DEPLOYMENT, REPLICA_SET, View({REPLICA_SET: table}))
    assert owned == ([part] if is_owned else [])
    patches = [claim.patch["metadata"] for claim in written if isinstance(claim, Patch)]
    assert [[owner["uid"] for owner in patch["ownerReferences"]] for patch in patches] == ([left] if left else [])


@pytest.mark.parametrize(
    ("owners", "labels", "concerned"),
    [
        pytest.param([_OWNED], {}, ["it"], id="its controller"),
        pytest.param([_HELD], {"a": "b"}, [], id="a controller of another kind"),
        pytest.param([], {"a": "b"}, ["it"], id="nobody's, all that select it"),
        pytest.param([], {"a": "c"}, [], id="nobody's, and nobody would"),
    ],
)
def test_whom_a_part_concerns(owners: list[Object], labels: dict[str, str], concerned: list[str]) -> None:
    jobs = Table(JOB)
    jobs.put(Entry.of(JOB, {"metadata": _ALIVE, "spec": {"selector": {"matchLabels": {"a": "b"}}}}))
    meta = {"name": "p", "namespace": "n", "uid": "p", "labels": labels, "ownerReferences": owners}
    part = Entry.of(POD, {"metadata": meta, "spec": {}, "status": {}})
    assert list(of_part(JOB)(part, View({JOB: jobs}))) == [Key("n", name) for name in concerned]
