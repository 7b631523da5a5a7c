"""Which thresholds are crossed, what the node says of itself, and who has to go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pylet.agent.kubelet import eviction, storage_limits
from pylet.agent.kubelet.admission import Home, refusal
from pylet.agent.kubelet.eviction import (
    DEFAULT_HARD,
    BadThreshold,
    ContainerLoad,
    Observation,
    PodLoad,
    Policy,
    State,
    look,
    message,
    ranked,
    thresholds,
)
from pylet.agent.kubelet.storage_limits import Kept, exceeded
from pylet.api.object import Object
from pylet.api.quantity import NANOS, Format, Quantity

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20


def left(mib: int, capacity_mib: int = 1000) -> Observation:
    return Observation(Quantity(mib * MIB * NANOS, Format.BINARY_SI), capacity_mib * MIB)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


HARD = Policy(thresholds(DEFAULT_HARD))


@pytest.mark.parametrize(
    ("signal", "mib", "conditions"),
    [
        pytest.param("memory.available", 99, {"MemoryPressure"}, id="memory below 100Mi"),
        pytest.param("memory.available", 100, set(), id="memory at 100Mi"),
        pytest.param("allocatableMemory.available", 99, {"MemoryPressure"}, id="pods' memory below 100Mi"),
        pytest.param("nodefs.available", 99, {"DiskPressure"}, id="disk below a tenth"),
        pytest.param("imagefs.available", 149, {"DiskPressure"}, id="images' disk below 15%"),
        pytest.param("nodefs.inodesFree", 50, set(), id="inodes at 5%"),
        pytest.param("pid.available", 0, set(), id="processes have no default"),
    ],
)
def test_the_defaults(signal: str, mib: int, conditions: set[str]) -> None:
    after = look(HARD, State(), {signal: left(mib)}, NOW)
    assert after.conditions == conditions
    assert {threshold.signal for threshold in after.acting} == ({signal} if conditions else set())


def test_a_condition_outlives_its_cause_by_the_transition_period() -> None:
    state = look(HARD, State(), {"memory.available": left(50)}, NOW)
    for seconds, conditions in ((10, {"MemoryPressure"}), (299, {"MemoryPressure"}), (300, set())):
        state = look(HARD, state, {"memory.available": left(500)}, later(seconds))
        assert (state.conditions, state.acting) == (conditions, ())


def test_a_soft_threshold_waits_for_its_grace_without_a_break() -> None:
    grace = {"memory.available": timedelta(seconds=30)}
    policy = Policy(thresholds({}, {"memory.available": "200Mi"}, grace))
    low, high = {"memory.available": left(150)}, {"memory.available": left(250)}
    state = look(policy, State(), low, NOW)
    assert (state.conditions, state.acting) == ({"MemoryPressure"}, ())
    state = look(policy, state, high, later(20))
    state = look(policy, state, low, later(25))
    assert not look(policy, state, low, later(54)).acting
    assert look(policy, state, low, later(55)).acting


def test_what_is_acted_on_is_left_only_with_the_minimum_reclaimed() -> None:
    policy = Policy(thresholds({"memory.available": "100Mi"}, reclaim={"memory.available": "50Mi"}))
    state = look(policy, State(), {"memory.available": left(90)}, NOW)
    state = look(policy, state, {"memory.available": left(149)}, later(10))
    assert state.acting
    assert not look(policy, state, {"memory.available": left(150)}, later(20)).acting
    assert not look(policy, State(), {"memory.available": left(149)}, NOW).acting


@pytest.mark.parametrize(
    ("hard", "soft", "words"),
    [
        pytest.param({"memory.free": "1Mi"}, {}, "unsupported eviction signal memory.free", id="no such signal"),
        pytest.param({"nodefs.available": "101%"}, {}, "must be >= 0% and <= 100%", id="more than all"),
        pytest.param({"memory.available": "much"}, {}, "quantities must match", id="no quantity"),
        pytest.param({}, {"memory.available": "1Mi"}, "grace period must be specified", id="soft without grace"),
    ],
)
def test_what_is_no_threshold(hard: dict[str, str], soft: dict[str, str], words: str) -> None:
    with pytest.raises(BadThreshold, match=words):
        thresholds(hard, soft)


def pod(name: str, *, memory: str = "", priority: int = 0, **more: object) -> Object:
    requests = {"memory": memory} if memory else {}
    spec: Object = {"containers": [{"name": "main", "resources": {"requests": requests}}], "priority": priority}
    return {"metadata": {"name": name, "namespace": "ns", **more}, "spec": spec}


def test_who_exceeds_its_request_goes_first_then_by_priority_then_by_excess() -> None:
    loads = [
        PodLoad(pod("within", memory="500Mi"), 400 * MIB),
        PodLoad(pod("over-important", memory="10Mi", priority=5), 900 * MIB),
        PodLoad(pod("over-little", memory="90Mi"), 100 * MIB),
        PodLoad(pod("over-much"), 50 * MIB),
        PodLoad(pod("unknown"), measured=False),
        PodLoad(pod("critical", priority=2_000_000_000), 900 * MIB),
        PodLoad(pod("static", annotations={"kubernetes.io/config.source": "file"}), 900 * MIB),
    ]
    names = [load.pod["metadata"]["name"] for load in ranked(loads, "memory")]
    assert names == ["unknown", "over-much", "over-little", "over-important", "within"]


def test_processes_are_ranked_by_priority_and_number() -> None:
    loads = [PodLoad(pod("few"), processes=2), PodLoad(pod("many"), processes=9), PodLoad(pod("high", priority=1))]
    assert [load.pod["metadata"]["name"] for load in ranked(loads, "pids")] == ["many", "few", "high"]


def test_memory_is_the_most_urgent() -> None:
    seen = {"nodefs.available": left(1), "memory.available": left(1)}
    urgent = eviction.most_urgent(look(HARD, State(), seen, NOW).acting)
    assert urgent is not None
    assert urgent.signal == "memory.available"


def test_what_the_evicted_pod_is_told() -> None:
    seen = {"memory.available": left(95)}
    load = PodLoad(pod("web", memory="10Mi"), 20 * MIB, containers=(ContainerLoad("main", 20 * MIB),))
    words, annotations = message(load, "memory", look(HARD, State(), seen, NOW).acting, seen)
    assert words == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 95Mi. "
        "Container main was using 20Mi, request is 10Mi, has larger consumption of memory. "
    )
    assert annotations == {
        "starved_resource": "memory",
        "offending_containers": "main",
        "offending_containers_usage": "20Mi",
    }


LIMITED: Object = {
    "metadata": {"name": "p"},
    "spec": {
        "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Mi"}}, {"name": "other", "emptyDir": {}}],
        "containers": [
            {"name": "a", "resources": {"limits": {"ephemeral-storage": "4Mi"}}},
            {"name": "b", "resources": {"limits": {"ephemeral-storage": "4Mi"}}},
        ],
    },
}


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        pytest.param(Kept({"cache": MIB, "other": 2 * MIB}, {"a": 4 * MIB}, 8 * MIB), "", id="all at their limits"),
        pytest.param(
            Kept({"cache": MIB + 1}, {}, 0),
            'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". ',
            id="an emptyDir over its size",
        ),
        pytest.param(
            Kept({}, {"a": 3 * MIB}, 9 * MIB),
            "Pod ephemeral local storage usage exceeds the total limit of containers 8Mi. ",
            id="all together over the pod's limit",
        ),
        pytest.param(
            Kept({}, {"b": 5 * MIB}, 5 * MIB),
            'Container b exceeded its local ephemeral storage limit "4Mi". ',
            id="a container over its own",
        ),
    ],
)
def test_limits_of_local_storage(kept: Kept, words: str) -> None:
    assert exceeded(LIMITED, kept) == words


def test_pods_without_limits_are_not_measured() -> None:
    assert storage_limits.is_limited(LIMITED)
    assert not storage_limits.is_limited(pod("free"))


def short_of(*types: str) -> Home:
    conditions = [{"type": "Ready", "status": "True"}, *({"type": type_, "status": "True"} for type_ in types)]
    return Home(node={"metadata": {"name": "n"}, "status": {"conditions": conditions}})


TOLERANT = {"tolerations": [{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]}


@pytest.mark.parametrize(
    ("types", "asks", "spec", "words"),
    [
        pytest.param((), "", {}, "", id="enough of all"),
        pytest.param(("MemoryPressure",), "", {}, "[MemoryPressure]", id="memory, and it asked for none"),
        pytest.param(("MemoryPressure",), "1Mi", {}, "", id="memory, and it asked for some"),
        pytest.param(("MemoryPressure",), "", TOLERANT, "", id="memory, and it tolerates that"),
        pytest.param(("DiskPressure",), "1Mi", TOLERANT, "[DiskPressure]", id="disk"),
        pytest.param(
            ("MemoryPressure", "PIDPressure"), "1Mi", {}, "[MemoryPressure PIDPressure]", id="memory and processes"
        ),
        pytest.param(("DiskPressure",), "", {"priority": 2_000_001_000}, "", id="disk, and it is critical"),
    ],
)
def test_who_is_let_in_while_the_node_runs_short(types: tuple[str, ...], asks: str, spec: Object, words: str) -> None:
    new = pod("new", memory=asks)
    new["spec"] |= spec
    refused = refusal(new, short_of(*types))
    assert refused == (("Evicted", f"The node had condition: {words}. ") if words else None)
