"""How far a roll-out is, as `rollout status` says it."""

import pytest

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import rollouts


def _obj(kind: str, spec: Object, status: Object, generation: int = 1) -> Object:
    meta = {"name": "x", "generation": generation, "uid": "u"}
    return {"kind": kind, "metadata": meta, "spec": spec, "status": {"observedGeneration": 1, **status}}


ROLLING = {"updateStrategy": {"type": "RollingUpdate"}}
DAEMONS = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2}


@pytest.mark.parametrize(
    ("obj", "said", "over"),
    [
        (
            _obj("Deployment", {"replicas": 1}, {}, generation=2),
            "Waiting for deployment spec update to be observed...",
            False,
        ),
        (
            _obj("Deployment", {"replicas": 2}, {"updatedReplicas": 1, "replicas": 2}),
            'Waiting for deployment "x" rollout to finish: 1 out of 2 new replicas have been updated...',
            False,
        ),
        (
            _obj("Deployment", {"replicas": 1}, {"updatedReplicas": 1, "replicas": 2}),
            'Waiting for deployment "x" rollout to finish: 1 old replicas are pending termination...',
            False,
        ),
        (
            _obj("Deployment", {"replicas": 1}, {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}),
            'deployment "x" successfully rolled out',
            True,
        ),
        (
            _obj("DaemonSet", ROLLING, {**DAEMONS, "numberAvailable": 1}),
            'Waiting for daemon set "x" rollout to finish: 1 of 2 updated pods are available...',
            False,
        ),
        (
            _obj("DaemonSet", ROLLING, {**DAEMONS, "numberAvailable": 2}),
            'daemon set "x" successfully rolled out',
            True,
        ),
        (
            _obj("StatefulSet", {**ROLLING, "replicas": 3}, {"readyReplicas": 1}),
            "Waiting for 2 pods to be ready...",
            False,
        ),
        (
            _obj(
                "StatefulSet",
                {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
                {"readyReplicas": 3, "updatedReplicas": 1},
            ),
            "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...",
            False,
        ),
    ],
)
def test_a_roll_out_says_what_it_waits_for(obj: Object, said: str, over: bool) -> None:
    assert rollouts.status(obj) == (said, over)


def test_what_is_replaced_only_when_deleted_has_no_roll_out() -> None:
    with pytest.raises(Failure, match="only available for RollingUpdate strategy type"):
        rollouts.status(_obj("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, {}))


def test_revisions_are_those_the_object_controls() -> None:
    owners = [{"uid": "u", "controller": True}]
    mine = {"metadata": {"ownerReferences": owners}, "revision": 2, "data": {"spec": {"template": {"a": 1}}}}
    other = {"metadata": {}, "revision": 1, "data": {"spec": {"template": {}}}}
    found = rollouts.revisions(_obj("DaemonSet", {}, {}), [mine, other])
    assert {number: revision.template for number, revision in found.items()} == {2: {"a": 1}}
