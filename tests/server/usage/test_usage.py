"""metrics.k8s.io: from two answers of a kubelet to what the API shows, and when kubelets are asked at all."""

from __future__ import annotations

import asyncio

import pytest

from pylet.aio.clock import VirtualClock
from pylet.api.errors import NotFound, ServiceUnavailable
from pylet.api.kind import Kind
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table
from pylet.server.usage.samples import Point, Sample, pod_use, read, use_between
from pylet.server.usage.serving import Usage

TEXT = """\
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{{container="main",namespace="default",pod="web"}} {cpu} {ms}
container_memory_working_set_bytes{{container="main",namespace="default",pod="web"}} 4.194304e+06 {ms}
container_start_time_seconds{{container="main",namespace="default",pod="web"}} 1000
node_cpu_usage_seconds_total {cpu} {ms}
node_memory_working_set_bytes 1025 {ms}
pod_cpu_usage_seconds_total{{namespace="default",pod="web"}} 9 {ms}
scrape_error 0
"""


def at(seconds: float, cpu: float) -> str:
    return TEXT.format(cpu=cpu, ms=int(seconds * 1000))


def test_a_kubelets_answer_is_read() -> None:
    assert read(at(2000.5, 1.5)) == Sample(
        Point(2000.5, 1.5, 1025), {Key("default", "web"): {"main": Point(2000.5, 1.5, 4 << 20, 1000.0)}}
    )


@pytest.mark.parametrize(
    ("before", "after", "nanocores"),
    [
        pytest.param(Point(100, 5, 1, 50), Point(110, 6, 1, 50), 100_000_000, id="a counter that grew"),
        pytest.param(Point(100, 5, 1, 50), Point(110, 6, 1, 105), None, id="a container that began anew"),
        pytest.param(Point(100, 5, 1, 50), Point(125, 6, 1, 105), 300_000_000, id="one that began anew 20 s ago"),
        pytest.param(Point(100, 5, 1, 50), Point(110, 4, 1, 50), None, id="a counter that went back"),
        pytest.param(None, Point(130, 3, 1, 100), 100_000_000, id="first seen, 30 s old"),
        pytest.param(None, Point(105, 3, 1, 100), None, id="first seen, 5 s old"),
        pytest.param(None, Point(9000, 3, 1, 100), None, id="first seen, long running"),
        pytest.param(Point(100, 5, 1), Point(110, 6), None, id="nobody knows its memory"),
    ],
)
def test_use_between_two_points(before: Point | None, after: Point, nanocores: int | None) -> None:
    found = use_between(before, after)
    assert (found.cpu_nanocores if found else None) == nanocores


def test_half_a_pod_is_no_pod() -> None:
    whole = {"a": Point(100, 1, 1, 50), "b": Point(100, 1, 1, 50)}
    later = {"a": Point(110, 2, 1, 50), "b": Point(110, -1, 1, 50)}
    assert pod_use(Sample(pods={Key("", "p"): whole}), Sample(pods={Key("", "p"): later}), Key("", "p")) is None


NODE_OBJECT: Object = {
    "metadata": {"name": "n1", "uid": "n", "labels": {"zone": "a"}},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    },
}
POD_OBJECT: Object = {
    "metadata": {"name": "web", "namespace": "default", "uid": "p", "labels": {"app": "web"}},
    "spec": {"nodeName": "n1"},
    "status": {"phase": "Running"},
}


class Kubelet:
    """Uses a quarter of a core."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.asked, self.is_away = clock, 0, False

    async def read(self, node: str, path: str) -> bytes:
        assert (node, path) == ("n1", "metrics/resource")
        if self.is_away:
            raise ServiceUnavailable("away")
        self.asked += 1
        seconds = 2000 + self.clock.monotonic()
        return at(seconds, 0.25 * seconds).encode()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def kubelet(clock: VirtualClock) -> Kubelet:
    return Kubelet(clock)


@pytest.fixture
def usage(clock: VirtualClock, kubelet: Kubelet) -> Usage:
    tables: dict[Kind, Table] = {NODE: Table(NODE), POD: Table(POD)}
    for kind, obj in ((NODE, NODE_OBJECT), (POD, POD_OBJECT)):
        tables[kind].put(Entry.of(kind, {**obj, "metadata": {**obj["metadata"], "resourceVersion": "1"}}))
    return Usage(tables.__getitem__, kubelet.read, clock)


ROOT = "/apis/metrics.k8s.io/v1beta1"


async def ask(usage: Usage, clock: VirtualClock, path: str, *, as_table: bool = False, **query: str) -> Object:
    asking = asyncio.create_task(usage.answer("GET", ROOT + path, query, as_table=as_table))
    for _ in range(20):
        await asyncio.sleep(0)
    await clock.advance(2)
    return await asking


async def test_nodes_and_pods_as_clients_see_them(usage: Usage, clock: VirtualClock) -> None:
    nodes = await ask(usage, clock, "/nodes")
    assert nodes["kind"] == "NodeMetricsList"
    (node,) = nodes["items"]
    assert node["metadata"]["name"] == "n1"
    assert (node["usage"], node["window"]) == ({"cpu": "250m", "memory": "1025"}, "1.5s")
    pods = await ask(usage, clock, "/namespaces/default/pods", labelSelector="app=web")
    assert pods["items"][0]["containers"] == [{"name": "main", "usage": {"cpu": "250m", "memory": "4Mi"}}]
    assert (await ask(usage, clock, "/pods", labelSelector="app=other"))["items"] == []
    with pytest.raises(NotFound, match=r'podmetrics.metrics.k8s.io "default/none" not found'):
        await ask(usage, clock, "/namespaces/default/pods/none")
    shown = await ask(usage, clock, "/namespaces/default/pods/web", as_table=True)
    assert shown["rows"][0]["cells"] == ["web", "250m", "4Mi", "1.5s"]


async def test_kubelets_are_asked_only_while_somebody_asks(usage: Usage, clock: VirtualClock, kubelet: Kubelet) -> None:
    await clock.advance(3600)
    assert kubelet.asked == 0
    await ask(usage, clock, "/nodes")
    assert kubelet.asked == 2, "a rate needs two samples"
    await ask(usage, clock, "/nodes")
    assert kubelet.asked == 2, "a fresh answer is kept"
    await clock.advance(15)
    found = await ask(usage, clock, "/nodes")
    assert kubelet.asked == 3, "the last sample is what the next is compared with"
    assert found["items"][0]["window"] > "15s"
    await clock.advance(3600)
    await ask(usage, clock, "/nodes")
    assert kubelet.asked == 5, "after a silence the last sample is too old"


async def test_a_node_that_does_not_answer_is_left_out(usage: Usage, clock: VirtualClock, kubelet: Kubelet) -> None:
    kubelet.is_away = True
    assert (await ask(usage, clock, "/nodes"))["items"] == []


async def test_a_node_that_is_late_once_keeps_what_is_known(
    usage: Usage, clock: VirtualClock, kubelet: Kubelet
) -> None:
    await ask(usage, clock, "/nodes")
    (before,) = (await ask(usage, clock, "/nodes"))["items"]
    kubelet.is_away = True
    await clock.advance(15)
    (late,) = (await ask(usage, clock, "/nodes"))["items"]
    assert [late[word] for word in ("timestamp", "usage")] == [before[word] for word in ("timestamp", "usage")]
    kubelet.is_away = False
    await clock.advance(15)
    (after,) = (await ask(usage, clock, "/nodes"))["items"]
    assert (kubelet.asked, after["window"] > "30s") == (3, True), "compared with the sample before the failure"
    kubelet.is_away = True
    await clock.advance(61)
    assert (await ask(usage, clock, "/nodes"))["items"] == []
