"""Who goes first when a workload shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pylet.api import timestamps
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.controllers import replicaset
from pylet.server.reconcile.leaving import least_missed, least_missed_beside
from pylet.server.reconcile.plan import Delete
from tests.server.controllers.picture import controlled_by, obj, view

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MONTH = timedelta(days=31)


def ago(age: timedelta) -> str:
    return timestamps.format_time(NOW - age)


def pod(
    name: str,
    *,
    node: str = "n",
    phase: str = "Running",
    ready: timedelta | None = None,
    age: timedelta = MONTH,
    restarts: tuple[int, int] = (0, 0),
    **meta: Any,
) -> Object:
    status: Object = {"phase": phase}
    if ready is not None:
        status["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": ago(ready)}]
        status["containerStatuses"] = [{"name": "c", "restartCount": restarts[0]}]
        status["initContainerStatuses"] = [{"name": "side", "restartCount": restarts[1]}]
    spec = {"nodeName": node, "containers": [], "initContainers": [{"name": "side", "restartPolicy": "Always"}]}
    return obj("v1", "Pod", name, meta={"creationTimestamp": ago(age), **meta}, spec=spec, status=status)


def beside(pods: Sequence[Object], others: Sequence[Object] = ()) -> list[Object]:
    entries, crowd = ([Entry.of(POD, pod) for pod in some] for some in (pods, others))
    return [entry.object for entry in least_missed_beside(entries, crowd, NOW)]


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def cost(value: int) -> Object:
    return {"annotations": {"controller.kubernetes.io/pod-deletion-cost": str(value)}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(pod("z", node=""), pod("a", phase="Pending"), id="without a node"),
        pytest.param(pod("z", phase="Pending"), pod("a", phase="Unknown"), id="pending"),
        pytest.param(pod("z", phase="Unknown"), pod("a"), id="unknown"),
        pytest.param(pod("z"), pod("a", ready=hours(0)), id="not ready"),
        pytest.param(pod("z", ready=hours(0)), pod("a", ready=MONTH), id="ready later"),
        pytest.param(pod("z", ready=hours(1), restarts=(9, 0)), pod("a", ready=hours(1)), id="restarts"),
        pytest.param(
            pod("z", ready=hours(1), restarts=(9, 2)),
            pod("a", ready=hours(1), restarts=(9, 1)),
            id="a sidecar's",
        ),
        pytest.param(pod("z", ready=hours(1), age=hours(1)), pod("a", ready=hours(1)), id="created later"),
    ],
)
def test_what_is_missed_least_goes_first(first: Object, second: Object) -> None:
    for given in ([first, second], [second, first]):
        assert least_missed(given) == [first, second]
        assert beside(given) == [first, second]


def test_age_counts_by_its_magnitude() -> None:
    """Between 5 and 8 hours nobody knows; 2 hours are less than 5."""
    five, eight, two = pod("b", ready=hours(5)), pod("a", ready=hours(8)), pod("c", ready=hours(2))
    assert beside([five, eight, two]) == [two, eight, five]
    assert least_missed([five, eight, two]) == [two, five, eight]


def test_users_and_crowds_come_before_age() -> None:
    cheap, dear = pod("z", ready=MONTH, **cost(-1)), pod("a", ready=hours(0), **cost(5))
    crowded, alone = pod("y", ready=MONTH, node="full"), pod("b", ready=hours(0), node="empty")
    others = [crowded, pod("other", node="full"), alone]
    assert beside([dear, cheap]) == [cheap, dear]
    assert beside([alone, crowded], others) == [crowded, alone]
    assert least_missed([cheap, dear]) == [dear, cheap], "a Job asks nobody what its pods cost"


def test_a_replica_set_leaves_where_its_deployment_crowds() -> None:
    owner = obj("apps/v1", "Deployment", "web")
    labels, meta = {"app": "web"}, {"ownerReferences": controlled_by(owner)}
    old, new = (
        obj("apps/v1", REPLICA_SET.name, name, meta=meta, spec={"replicas": 1, "selector": {"matchLabels": labels}})
        for name in ("old", "new")
    )
    old["spec"]["template"] = {"metadata": {"labels": labels}}
    mine = [
        pod(name, node=node, ready=age, ownerReferences=controlled_by(old), labels=labels)
        for name, node, age in (("a", "with-new", MONTH), ("b", "alone", hours(0)))
    ]
    beside = pod("c", node="with-new", ownerReferences=controlled_by(new))
    actions = replicaset.CONTROLLER.plan(Key("default", "old"), view(old, new, *mine, beside), NOW).actions
    assert [action.key.name for action in actions if isinstance(action, Delete)] == ["a"]
