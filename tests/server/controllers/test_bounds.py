"""However many pods are asked for, one plan makes so many and no more: the next sees what came of them."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object
from pylet.server.controllers import job, replicaset, statefulset
from pylet.server.reconcile.plan import Action, Controller, Create
from tests.server.controllers.picture import NOW, obj, view

HUGE = 2**31 - 1
LABELS = {"app": "web"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def workload(api_version: str, kind: str, **spec: Any) -> Object:
    return obj(api_version, kind, "web", spec={"selector": {"matchLabels": LABELS}, "template": TEMPLATE, **spec})


def actions_of(controller: Controller, *objects: Object) -> tuple[Action, ...]:
    return controller.plan(Key("default", "web"), view(*objects), NOW).actions


@pytest.mark.parametrize(
    ("controller", "asked"),
    [
        (replicaset.CONTROLLER, workload("apps/v1", "ReplicaSet", replicas=HUGE)),
        (
            statefulset.CONTROLLER,
            workload("apps/v1", "StatefulSet", replicas=HUGE, serviceName="x", podManagementPolicy="Parallel"),
        ),
        *(
            (
                job.CONTROLLER,
                workload(
                    "batch/v1", "Job", completions=100_000, parallelism=100_000, backoffLimit=6, completionMode=mode
                ),
            )
            for mode in ("Indexed", "NonIndexed")
        ),
    ],
)
def test_one_plan_makes_no_more_than_five_hundred(controller: Controller, asked: Object) -> None:
    actions = actions_of(controller, asked)
    revisions = [one.object for one in actions if isinstance(one, Create) and one.kind is CONTROLLER_REVISION]
    if revisions:  # comes first, and alone
        (revision,) = revisions
        revision = {**revision, "metadata": {**revision["metadata"], "uid": "r", "resourceVersion": "1"}}
        actions = actions_of(controller, asked, revision)
    assert sum(isinstance(one, Create) and one.kind is POD for one in actions) == 500
