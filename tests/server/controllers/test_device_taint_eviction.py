"""Who has to leave a device that is tainted, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pylet.api import timestamps
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object
from pylet.server.controllers import device_taint_eviction
from pylet.server.reconcile.plan import Count, Delete, Patch, Plan
from tests.server.controllers.picture import NOW, pod, view
from tests.server.scheduler.devices import device, slice_of, taken

TAINT = {"key": "sick", "value": "", "effect": "NoExecute", "timeAdded": timestamps.format_time(NOW)}
EXISTS = {"key": "sick", "operator": "Exists", "effect": "NoExecute"}
LEAVES = timedelta()


def planned(taint: Object, tolerations: list[Object], **reserved: Any) -> Plan:
    claim = taken("a", name="c", tolerations=tolerations)
    claim["status"]["reservedFor"] = [{"resource": "pods", "name": "p", "uid": "p", **reserved}]
    user = pod("p", spec={"nodeName": "n", "resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]})
    offered = slice_of(device("a", taints=[taint]), device("b"), generation=2)
    replaced = slice_of(device("a", taints=[{**TAINT, "timeAdded": "2020-01-01T00:00:00Z"}]), name="old")
    return device_taint_eviction.controller().plan(Key("default", "p"), view(user, claim, offered, replaced), NOW)


@pytest.mark.parametrize(
    ("taint", "tolerations", "expected"),
    [
        (TAINT, [], LEAVES),
        (TAINT, [EXISTS], None),
        (TAINT, [{**EXISTS, "tolerationSeconds": 60}], timedelta(seconds=60)),
        (TAINT, [{**EXISTS, "tolerationSeconds": 60}, EXISTS], None),
        (TAINT, [{**EXISTS, "key": "other"}], LEAVES),
        (TAINT, [{**EXISTS, "effect": ""}], LEAVES),
        ({**TAINT, "effect": "NoSchedule"}, [], None),
    ],
)
def test_a_pod_stays_as_long_as_its_claim_tolerates(taint: Object, tolerations: list[Object], expected: Any) -> None:
    found = planned(taint, tolerations)
    if expected is LEAVES:
        marked, gone, *counts = found.actions
        assert isinstance(marked, Patch)
        assert marked.patch["status"]["conditions"][-1]["reason"] == "DeletionByDeviceTaintManager"
        assert isinstance(gone, Delete)
        assert gone.kind is POD
        assert [each.value for each in counts if isinstance(each, Count)] == [1, 0]
    else:
        assert found.actions == ()
        assert found.again_after == expected


def test_who_does_not_hold_the_claim_is_left_alone() -> None:
    assert planned(TAINT, [], uid="another").actions == ()
