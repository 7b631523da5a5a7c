"""What containers get of CPUs and memory to themselves, and what hints that gives."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.placement import state
from pylet.agent.kubelet.placement.cpus import CpuOptions, CpuPool, Misaligned
from pylet.agent.kubelet.placement.hints import Hint
from pylet.agent.kubelet.placement.layout import Inconsistent, format_cpus
from pylet.agent.kubelet.placement.memory import MemoryPool, allocatable
from pylet.agent.kubelet.provided import CannotProvide
from pylet.api.object import Object
from tests.agent.kubelet.builders import container, pod, sidecar
from tests.agent.kubelet.placement.machines import FOUR_NODES, GI, NO_THREADS, ONE_SOCKET, TWO_SOCKETS


def own(cpus: str, memory: str = "1Gi", name: str = "main") -> Object:
    amounts = {"cpu": cpus, "memory": memory}
    return container(name, resources={"requests": amounts, "limits": amounts})


def cpu_pool(options: CpuOptions | None = None) -> CpuPool:
    return CpuPool(ONE_SOCKET, frozenset((0, 4)), options or CpuOptions())


@pytest.mark.parametrize(
    ("of", "cpus"),
    [
        pytest.param(pod(own("2")), "1,5", id="whole CPUs of a Guaranteed pod"),
        pytest.param(pod(own("1500m")), None, id="not a part of one"),
        pytest.param(pod(container(resources={"requests": {"cpu": "2"}})), None, id="not of a Burstable pod"),
        pytest.param(
            pod(own("2"), resources={"limits": {"cpu": "2", "memory": "1Gi"}}), None, id="not below a pod's own"
        ),
    ],
)
def test_who_gets_cpus_alone(of: Object, cpus: str | None) -> None:
    pool = cpu_pool()
    pool.allocate(of, of["spec"]["containers"][0])
    found = pool.of("u1", "main")
    assert (None if found is None else format_cpus(found)) == cpus
    assert pool.shared == ONE_SOCKET.cpus - (found or frozenset())


def test_what_is_reserved_is_shared_unless_it_is_strictly_so() -> None:
    assert format_cpus(cpu_pool().shared) == "0-7"
    assert format_cpus(cpu_pool(CpuOptions(strict_reservation=True)).shared) == "1-3,5-7"


def test_app_containers_take_over_cpus_of_init_containers_but_not_of_sidecars() -> None:
    amounts = {"cpu": "2", "memory": "1Gi"}
    init, beside = own("4", name="init"), sidecar("beside", resources={"requests": amounts, "limits": amounts})
    of = pod(own("2"), init=(init, beside))
    pool = cpu_pool()
    for each in (init, beside, of["spec"]["containers"][0]):
        pool.allocate(of, each)
    taken = {name: format_cpus(cpus) for name, cpus in pool.assigned["u1"].items()}
    assert taken == {"init": "1-2,5-6", "beside": "1,5", "main": "2,6"}
    assert format_cpus(pool.shared) == "0,3-4,7"
    pool.keep(["another"])
    assert format_cpus(pool.shared) == "0-7"


@pytest.mark.parametrize(
    ("cpus", "words"),
    [
        pytest.param("3", "requested 3 cpus not multiple cpus per core = 2", id="half a core"),
        pytest.param(
            "8",
            "not enough free physical CPUs: available physical CPUs = 6, requested CPUs = 8, CPUs per core = 2",
            id="more than there are",
        ),
    ],
)
def test_whole_cores_or_none(cpus: str, words: str) -> None:
    of = pod(own(cpus))
    with pytest.raises(Misaligned) as refused:
        cpu_pool(CpuOptions(full_cores_only=True)).allocate(of, of["spec"]["containers"][0])
    assert refused.value.refusal == ("SMTAlignmentError", f"SMT Alignment Error: {words}")


def test_a_restart_keeps_who_has_which_cpus() -> None:
    of, pool, again = pod(own("2")), cpu_pool(), cpu_pool()
    pool.allocate(of, of["spec"]["containers"][0])
    state.restore_cpus(again, state.parse(state.text_of(state.cpu_data(pool)), "static"))
    assert again.assigned == pool.assigned


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param({"defaultCpuSet": "0-3"}, "not all reserved cpus", id="a reserved CPU is not shared"),
        pytest.param({"defaultCpuSet": "0-6"}, "doesn't match with CPUs in state", id="another machine"),
        pytest.param(
            {"defaultCpuSet": "0-7", "entries": {"u": {"c": "7"}}}, "overlaps with default", id="two have one"
        ),
    ],
)
def test_what_does_not_fit_is_not_taken_up(data: Object, words: str) -> None:
    with pytest.raises(Inconsistent, match=words):
        state.restore_cpus(cpu_pool(), data)


def test_cpus_hint_at_the_fewest_nodes_that_have_them() -> None:
    pool, of = CpuPool(TWO_SOCKETS, frozenset((0, 6))), pod(own("4"))
    both, one, other = frozenset((0, 1)), frozenset((0,)), frozenset((1,))
    assert pool.hints(of, of["spec"]["containers"][0]) == {
        "cpu": [Hint(one, preferred=True), Hint(other, preferred=True), Hint(both, preferred=False)]
    }
    pool.allocate(of, of["spec"]["containers"][0], Hint(other, preferred=True))
    assert format_cpus(pool.assigned["u1"]["main"]) == "1,3,7,9"
    assert pool.hints(pod(container()), container()) == {}
    larger = pod(own("6"), meta={"uid": "u2"})
    assert pool.pod_hints(larger) == {"cpu": [Hint(both, preferred=False)]}


# ---- memory


def memory_pool() -> MemoryPool:
    return MemoryPool(allocatable(NO_THREADS.memory, {0: {"memory": GI}}))


def place(pool: MemoryPool, memory: str, hint: Hint | None = None, uid: str = "u1") -> None:
    of = pod(own("1", memory), meta={"uid": uid})
    pool.allocate(of, of["spec"]["containers"][0], hint)


def test_memory_comes_from_one_node_where_it_can() -> None:
    pool = memory_pool()
    place(pool, "6Gi")
    place(pool, "6Gi", uid="u2")
    assert (pool.nodes_of("u1", "main"), pool.nodes_of("u2", "main")) == (frozenset((0,)), frozenset((1,)))
    with pytest.raises(CannotProvide, match="no NUMA nodes with enough memory is available"):
        place(pool, "6Gi", uid="u3")


def test_nodes_that_serve_a_group_serve_nobody_else() -> None:
    pool = memory_pool()
    place(pool, "12Gi")
    assert pool.nodes_of("u1", "main") == {0, 1}
    of = pod(own("1"), meta={"uid": "u2"})
    assert pool.hints(of, of["spec"]["containers"][0]) == {"memory": [Hint(frozenset((0, 1)), preferred=False)]}
    pool.keep([])
    place(pool, "1Gi", uid="u2")
    larger = pod(own("1", "12Gi"), meta={"uid": "u3"})
    assert pool.hints(larger, larger["spec"]["containers"][0]) == {}


def test_a_hint_too_narrow_is_widened() -> None:
    pool = memory_pool()
    place(pool, "12Gi", Hint(frozenset((1,)), preferred=False))
    assert pool.nodes_of("u1", "main") == {0, 1}
    with pytest.raises(CannotProvide, match="failed to find NUMA nodes to extend"):
        place(pool, "12Gi", Hint(frozenset((1,)), preferred=False), uid="u2")


def test_a_node_that_serves_alone_is_in_no_group() -> None:
    pool = memory_pool()
    place(pool, "8Gi")
    with pytest.raises(CannotProvide, match="preferred hint violates NUMA node allocation"):
        place(pool, "3Gi", Hint(frozenset((0, 1)), preferred=False), uid="u2")


def test_app_containers_take_over_memory_of_init_containers() -> None:
    pool, of = memory_pool(), pod(own("1", "4Gi"), init=(own("1", "6Gi", name="init"),))
    for each in (*of["spec"]["initContainers"], *of["spec"]["containers"]):
        pool.allocate(of, each)
    sizes = {name: [block.size // GI for block in blocks] for name, blocks in pool.blocks["u1"].items()}
    assert sizes == {"init": [2], "main": [4]}


def test_a_restart_keeps_who_has_which_memory() -> None:
    pool, again = memory_pool(), memory_pool()
    place(pool, "12Gi")
    state.restore_memory(again, state.parse(state.text_of(state.memory_data(pool)), "Static"))
    assert again.blocks == pool.blocks
    with pytest.raises(Inconsistent, match="no NUMA nodes 1"):
        state.restore_memory(MemoryPool({0: {"memory": GI}}), state.memory_data(pool))


@pytest.mark.parametrize("text", ["", "{}", '{"policyName":"static","checksum":1}', "[]"])
def test_a_broken_file_is_said_to_be(text: str) -> None:
    with pytest.raises(Inconsistent):
        state.parse(text, "static")


def test_a_machine_of_four_nodes_hints_at_subsets() -> None:
    pool, of = CpuPool(FOUR_NODES, frozenset()), pod(own("30"))
    hints = pool.hints(of, of["spec"]["containers"][0])["cpu"]
    assert hints is not None
    assert {len(hint.nodes or ()) for hint in hints if hint.preferred} == {2}
    assert len(hints) == 6 + 4 + 1
