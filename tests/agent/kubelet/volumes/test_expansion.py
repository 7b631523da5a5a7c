from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pylet.agent.kubelet.volumes import expansion
from pylet.api.object import Object

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAILED = {"type": "NodeResizeError", "status": "True"}


def claim(state: str = "", *, asks: str = "9Gi", allocated: str = "9Gi", conditions: tuple[Object, ...] = ()) -> Object:
    statuses: Object = {"allocatedResourceStatuses": {"storage": state}} if state else {}
    if allocated:
        statuses["allocatedResources"] = {"storage": allocated}
    status = {"capacity": {"storage": "4Gi"}, "conditions": list(conditions), **statuses}
    return {"spec": {"resources": {"requests": {"storage": asks}}}, "status": status}


@pytest.mark.parametrize(
    ("state", "capacity", "size"),
    [
        pytest.param("NodeResizePending", "9Gi", "9Gi", id="the controller has done its part"),
        pytest.param("NodeResizeInProgress", "9Gi", "9Gi", id="begun and not ended"),
        pytest.param("NodeResizePending", "4Gi", "", id="as large already"),
        pytest.param("", "9Gi", "", id="nobody has left it to the node"),
        pytest.param("NodeResizePending", "9.5Gi", "9Gi", id="the volume got more than was asked for"),
        pytest.param("ControllerResizeInProgress", "9Gi", "", id="the controller is at it"),
        pytest.param("NodeResizeInfeasible", "9Gi", "", id="never possible"),
    ],
)
def test_it_is_the_nodes_turn(state: str, capacity: str, size: str) -> None:
    assert expansion.due(claim(state), {"spec": {"capacity": {"storage": capacity}}}) == size


def test_a_resizer_that_knows_no_states_is_believed() -> None:
    had = claim(allocated="")
    assert expansion.due(had, {"spec": {"capacity": {"storage": "9Gi"}}}) == "9Gi"


@pytest.mark.parametrize(
    ("code", "asks", "conditions", "state"),
    [
        pytest.param("OutOfRange", "9Gi", (), "NodeResizeInfeasible", id="a size that cannot be"),
        pytest.param("Internal", "9Gi", (), None, id="another error: it is tried again"),
        pytest.param("Internal", "9Gi", (FAILED,), None, id="failed twice, still what is asked for"),
        pytest.param("Internal", "5Gi", (), None, id="asked for less, but failed for the first time"),
        pytest.param("Internal", "5Gi", (FAILED,), "NodeResizeInfeasible", id="failed, then asked for less"),
    ],
)
def test_after_the_drivers_last_word(code: str, asks: str, conditions: tuple[Object, ...], state: str | None) -> None:
    had = claim("NodeResizeInProgress", asks=asks, conditions=conditions)
    said = expansion.refused(had, "9Gi", code, "no", NOW)
    assert said.get("allocatedResourceStatuses", {}).get("storage") == state
    assert [each["type"] for each in said.get("conditions", [FAILED])] == ["NodeResizeError"]


def test_a_finished_expansion_leaves_no_trace() -> None:
    other = {"type": "ModifyVolumeError", "status": "True"}
    had = claim("NodeResizeInProgress", conditions=({"type": "FileSystemResizePending"}, FAILED, other))
    assert expansion.finished(had, "9Gi") == {
        "capacity": {"storage": "9Gi"},
        "conditions": [other],
        "allocatedResourceStatuses": {"storage": None},
    }
