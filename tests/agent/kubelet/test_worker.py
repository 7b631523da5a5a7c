"""A pod's whole life in its worker, on the simulated runtime: no API server, no container, no waiting."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pylet.agent.kubelet import observed
from pylet.agent.kubelet.admitting import admit
from pylet.agent.kubelet.backoff import Backoff
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.credentials import Keys
from pylet.agent.kubelet.images import ImageError, Images
from pylet.agent.kubelet.keyring import Credential
from pylet.agent.kubelet.observed import GROUP, Observed
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.preemption import PREEMPTED
from pylet.agent.kubelet.provisions import Provisions
from pylet.agent.kubelet.removing import remove
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.stopping import Ending
from pylet.agent.kubelet.turns import PEAK
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.agent.kubelet.volumes.mounter import NotMounted
from pylet.agent.kubelet.worker import Worker
from pylet.agent.kubelet.workplace import Node
from pylet.aio.clock import Clock, SystemClock
from pylet.api import schema
from pylet.api.kind import Kind
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig, key_of
from pylet.api.patch import strategic
from pylet.client.interface import Unreachable
from pylet.client.view import Entry, Table, View
from pylet.cri.interface import CriError, EventType, PullError
from pylet.cri.memory import MemoryRuntime, Program
from pylet.cri.messages import (
    AuthConfig,
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    LinuxResources,
    Sandbox,
    SandboxConfig,
    SandboxStatus,
)
from tests.agent.kubelet.builders import IMAGE, container, pod, terminating
from tests.sim import virtual
from tests.waiting import until


class Api:
    """The two calls a worker makes for its own pod."""

    def __init__(self, of: Object) -> None:
        self.pod = of
        self.is_away = False
        self.node: Object | None = None
        self.deleted: list[tuple[str, int]] = []
        self.changed = asyncio.Event()
        self.heard: Callable[[Object], None] = lambda of: None
        """What a watch tells, which may be before the answer comes."""

    @property
    def status(self) -> Object:
        status: Object = self.pod["status"]
        return status

    async def patch(self, kind: Kind, key: Key, patch: Any, **_: Any) -> Object:
        if self.is_away:
            raise Unreachable("no answer")
        patched = strategic.apply(self.pod, patch, schema.of_kind(POD))
        revision = int(self.pod["metadata"].get("resourceVersion", "0")) + 1
        self.pod = {**patched, "metadata": {**patched["metadata"], "resourceVersion": str(revision)}}
        self.changed.set()
        self.heard(self.pod)
        return self.pod

    async def get(self, kind: Kind, key: Key) -> Object:
        if self.node is None:
            raise Unreachable("no answer")
        return self.node

    async def until(self, holds: Callable[[Object], bool]) -> Object:
        """Wait until the reported status is as wanted."""
        async with asyncio.timeout(60):
            while not holds(self.status):
                self.changed.clear()
                await self.changed.wait()
        return self.status

    async def create(self, kind: Kind, of: Object) -> Object:
        return of  # an event

    async def delete(self, kind: Kind, key: Key, *, uid: str, grace_seconds: int) -> Object:
        self.deleted.append((uid, grace_seconds))
        return {}


class NoVolumes:
    def __init__(self) -> None:
        self.unmounted: list[str] = []

    async def mount(self, of: Object, images: Collection[str] = ()) -> Mapping[str, Path]:
        return {}

    def follow(self, of: Object) -> None:
        pass

    def adopt(self, pod: Object) -> None:
        return

    def freeze(self, pod_uid: str) -> None:
        pass

    async def bind(
        self, of: Object, container: Object, environment: Mapping[str, str], *, recursive_read_only: bool
    ) -> Bindings:
        return Bindings()

    async def release(self, pod_uid: str) -> None:
        pass

    async def unmount(self, pod_uid: str) -> None:
        self.unmounted.append(pod_uid)


class Story:
    """A node with one pod, and what came of it."""

    def __init__(
        self,
        of: Object,
        root: Path,
        runtime: MemoryRuntime | None = None,
        tables: Mapping[Kind, Table] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.api, self.runtime, self.volumes = Api(of), runtime or MemoryRuntime(), NoVolumes()
        self.told: list[str] = []
        clock = clock or SystemClock()
        settings = Settings(
            node_name="n1",
            host_ips=("192.0.2.1",),
            root=root,
            log_root=root / "logs",
        )
        client: Any = self.api
        self.bound = Table(POD)
        node = Node(
            client=client,
            runtime=self.runtime,
            volumes=self.volumes,
            images=Images(self.runtime, clock),
            keys=Keys(root),
            view=View({POD: self.bound, **(tables or {})}),
            clock=clock,
            settings=settings,
            cgroups=Cgroups(mounted=root / "cgroup"),
            provisions=Provisions(root, self.runtime, clock),
            network_problem=lambda: self.network_problem,
            end_all=self._end_all,
        )
        recorder: Any = SimpleNamespace(tell=self._tell)
        node.recorder = recorder
        self.network_problem = ""
        self.worker = Worker(of, node)
        self.api.heard = self.worker.update
        self.ended: list[Object] = []

    def bind(self, *pods: Object) -> None:
        for each in pods:
            self.bound.put(Entry.of(POD, {**each, "spec": {**each["spec"], "nodeName": "n1"}}))

    async def _end_all(self, pods: Iterable[Object], _: Ending, within: float | None) -> int:
        self.ended += pods
        return len(self.ended)

    def _tell(self, about: Object, type_: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.told.append(reason)

    async def until(self, holds: Callable[[Object], bool]) -> Object:
        return await self.api.until(holds)

    def delete(self) -> None:
        self.api.pod = terminating(self.api.pod)
        meta = self.api.pod["metadata"]
        meta["resourceVersion"] = str(int(meta.get("resourceVersion", "0")) + 1)
        self.worker.update(self.api.pod)

    async def follow_runtime(self) -> None:
        async for event in self.runtime.events():
            if event.type is EventType.EXITED:
                self.worker.poke(exited=event.id)

    async def settled(self) -> None:
        """Let everybody have a turn."""
        await asyncio.sleep(0)

    async def running_id(self) -> str:
        listed = await self.runtime.list_containers()
        return next(c.id for c in listed if c.state is ContainerState.RUNNING)


@asynccontextmanager
async def told(
    of: Object,
    root: Path,
    runtime: MemoryRuntime | None = None,
    tables: Mapping[Kind, Table] | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[tuple[Story, asyncio.Task[None]]]:
    story = Story(of, root, runtime, tables, clock)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(story.follow_runtime())
        await asyncio.sleep(0)
        working = group.create_task(story.worker.run())
        yield story, working
        working.cancel()
        following.cancel()


@asynccontextmanager
async def taken_over(story: Story, runtime: MemoryRuntime, root: Path, nodes: Table) -> AsyncIterator[Api]:
    """A new kubelet on the node of a story that is over."""
    volumes: Any = story.volumes
    volumes.clean_up = lambda ending: None
    mine = Table(POD)
    bound = {**story.api.pod, "spec": {**story.api.pod["spec"], "nodeName": "n1"}}
    mine.put(Entry.of(POD, bound))
    api: Any = Api(bound)
    view = View({POD: mine, NODE: nodes})
    pods = Pods(replace(story.worker.node, client=api, runtime=runtime, view=view))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pods.run())
        yield api
        running.cancel()


def is_running(status: Object) -> bool:
    return status.get("phase") == "Running" and "running" in status["containerStatuses"][0]["state"]


def has_restarted(times: int, status: Object) -> bool:
    return is_running(status) and bool(status["containerStatuses"][0]["restartCount"] == times)


async def test_a_pod_waits_for_the_network_unless_it_uses_the_hosts(tmp_path: Path) -> None:
    for of, waits in ((pod(), ["NetworkNotReady"]), (pod(hostNetwork=True), [])):
        async with told(of, tmp_path) as (story, _):
            story.network_problem = "container runtime network not ready"
            await until(lambda story=story: story.told)
            story.network_problem = ""
            await story.until(is_running)
            assert [reason for reason in story.told if reason == "NetworkNotReady"] == waits


async def test_a_pod_that_can_have_no_group_says_so_and_starts_when_it_can(tmp_path: Path) -> None:
    full = [OSError(28, "No space left on device")]
    story = Story(pod(container(command=["serve"])), tmp_path)

    class Full(Cgroups):
        async def apply(self, group: str, resources: LinuxResources) -> None:
            if full:
                raise full.pop()
            await super().apply(group, resources)

    story.worker.node.cgroups = Full(mounted=tmp_path / "cgroup")
    async with asyncio.TaskGroup() as group:
        working = group.create_task(story.worker.run())
        await story.until(is_running)
        working.cancel()
    assert story.told[0] == "FailedCreatePodContainer"


async def test_a_pod_starts_crashes_is_restarted_and_is_deleted(tmp_path: Path) -> None:
    of = pod(container(command=["serve"]))
    async with told(of, tmp_path) as (story, working):
        started = await story.until(is_running)
        assert started["podIP"].startswith("10.88.")
        assert started["containerStatuses"][0]["ready"] is True
        assert story.told == ["Pulling", "Pulled", "Created", "Started"]

        story.runtime.crash(await story.running_id(), exit_code=3)
        again = await story.until(lambda s: is_running(s) and s["containerStatuses"][0]["restartCount"] == 1)
        assert again["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3

        story.delete()
        await asyncio.wait_for(working, 60)
    assert "Killing" in story.told
    assert story.api.status["phase"] == "Succeeded"
    assert story.api.deleted == [("u1", 0)]
    assert story.volumes.unmounted == ["u1"]
    assert await story.runtime.list_sandboxes() == ()
    assert await story.runtime.list_containers() == ()
    assert not list((tmp_path / "logs").glob("*"))


async def test_a_pod_whose_volumes_find_no_room_here_fails_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mount(volumes: NoVolumes, of: Object, images: Collection[str] = ()) -> Mapping[str, Path]:
        raise NotMounted("wait", [], SystemClock().now(), no_room="Node has reached its volume attachment limit")

    monkeypatch.setattr(NoVolumes, "mount", mount)
    async with told(pod(container()), tmp_path) as (story, _):
        failed = await story.until(lambda status: status.get("phase") == "Failed")
    assert failed["reason"] == "VolumeAttachmentLimitExceeded"
    assert failed["message"] == "Pod was rejected: Node has reached its volume attachment limit"


class Leisurely(MemoryRuntime):
    """A runtime that needs a while to start a container it has made; `made` is what happens meanwhile."""

    made: Callable[[], None] = staticmethod(lambda: None)

    async def start_container(self, container_id: str) -> None:
        self.made()
        for _ in range(20):
            await asyncio.sleep(0)
        await super().start_container(container_id)


async def test_start_and_end_are_told_in_three_reports_though_others_write_meanwhile(tmp_path: Path) -> None:
    runtime = Leisurely()
    async with told(pod(container(command=["serve"])), tmp_path, runtime) as (story, working):
        runtime.made = story.worker.poke
        await story.until(is_running)
        assert story.api.pod["metadata"]["resourceVersion"] == "2"  # has come, runs
        story.delete()
        await asyncio.wait_for(working, 60)
        assert story.api.pod["metadata"]["resourceVersion"] == "4"  # the deletion is the third


class Busy(MemoryRuntime):
    """A runtime where much else is being made; `asked` is how often for a sandbox's addresses."""

    asked = 0

    async def run_sandbox(self, config: SandboxConfig, *, runtime_handler: str = "") -> str:
        await asyncio.sleep(5)
        return await super().run_sandbox(config, runtime_handler=runtime_handler)

    async def start_container(self, container_id: str) -> None:
        await asyncio.sleep(0.5)
        await super().start_container(container_id)

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus:
        self.asked += 1
        return await super().sandbox_status(sandbox_id)


def test_a_start_on_a_busy_node_is_told_in_two_reports_and_asks_for_addresses_once(tmp_path: Path) -> None:
    async def story() -> None:
        runtime, clock = Busy(), virtual.LoopClock()
        async with told(pod(container(command=["serve"])), tmp_path, runtime, clock=clock) as (story, _):
            await story.until(is_running)
            assert story.api.pod["metadata"]["resourceVersion"] == "2"  # has come, runs
            assert runtime.asked == 1

    virtual.run(story())


class Lingering(MemoryRuntime):
    """A runtime that tells of an exit long before a stop is over; `looks` counts who asks what there is."""

    looks = 0

    async def list_sandboxes(self, *, pod_uid: str = "") -> tuple[Sandbox, ...]:
        self.looks += 1
        return await super().list_sandboxes(pod_uid=pod_uid)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        await super().stop_container(container_id, grace_seconds=grace_seconds)
        await self._a_while()

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await super().stop_sandbox(sandbox_id)
        await self._a_while()

    async def _a_while(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


async def test_a_deletion_looks_at_the_pod_when_it_begins_and_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("worker", "waking"):
        monkeypatch.setattr(f"pylet.agent.kubelet.{module}.SOON", timedelta(hours=1))  # nothing is late here
    runtime = Lingering()
    async with told(pod(container(command=["serve"])), tmp_path, runtime) as (story, working):
        await story.until(is_running)
        assert runtime.looks == 3  # before the sandbox is made, before the container is, and then
        runtime.looks = 0
        story.delete()
        await asyncio.wait_for(working, 60)
    assert runtime.looks == 2


async def test_of_a_pod_that_has_just_come_the_runtime_is_not_asked(tmp_path: Path) -> None:
    story = Story(pod(container(command=["serve"])), tmp_path, runtime := Lingering())
    worker = Worker(story.worker.pod, story.worker.node, is_new=True)
    working = asyncio.create_task(worker.run())
    await story.until(is_running)
    working.cancel()
    assert runtime.looks == 2  # before the container is made, and then


class Crowded(MemoryRuntime):
    """`most` is how many sandboxes were being removed at a time."""

    now = most = 0

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1


async def test_a_change_that_a_report_has_overtaken_is_looked_at_all_the_same(tmp_path: Path) -> None:
    story = Story(pod(container()), tmp_path)
    worker, api = story.worker, story.api
    changed = api.pod = {**api.pod, "metadata": {**api.pod["metadata"], "resourceVersion": "2"}}
    worker._waking.begin()
    assert await worker._report(worker.pod, Observed(()), set())
    assert worker.pod["metadata"]["resourceVersion"] == "3"
    worker.update(api.pod)
    assert not worker._waking._woken.is_set()  # its own, whenever it is heard of
    worker.update(changed)
    assert worker._waking._woken.is_set()
    assert worker.pod["metadata"]["resourceVersion"] == "3"


async def test_a_change_that_comes_while_a_report_is_under_way_is_looked_at_after_it(tmp_path: Path) -> None:
    story = Story(pod(container()), tmp_path)
    worker, api = story.worker, story.api
    api.heard = lambda of: worker.update({**of, "metadata": {**of["metadata"], "resourceVersion": "9"}})
    worker._waking.begin()
    assert await worker._report(worker.pod, Observed(()), set())
    assert worker._waking._woken.is_set()
    assert worker.pod["metadata"]["resourceVersion"] == "9"


async def test_many_pods_are_taken_down_a_few_at_a_time(tmp_path: Path) -> None:
    runtime = Crowded()
    node = Story(pod(container()), tmp_path, runtime).worker.node
    left = Observed((observed.Sandbox("gone", False, 0, ()),))
    await asyncio.gather(*(remove(pod(container(), meta={"uid": f"u{n}"}), left, node) for n in range(20)))
    assert runtime.most == PEAK


async def test_containers_that_are_gone_are_not_remembered(tmp_path: Path) -> None:
    async with told(pod(container(command=["serve"])), tmp_path) as (story, _):
        story.worker._acting.backoff = Backoff(timedelta())
        for restarts in range(5):
            await story.until(partial(has_restarted, restarts))
            story.runtime.crash(await story.running_id(), exit_code=1)
        await story.until(partial(has_restarted, 5))
        there = {c.id for c in await story.runtime.list_containers()} | {
            s.id for s in await story.runtime.list_sandboxes()
        }
        assert len(there) == 3  # the sandbox, what runs, and the one before it
        await until(lambda: story.worker.ids == there)


async def test_a_crash_loop_waits_and_keeps_one_dead_container(tmp_path: Path) -> None:
    async with told(pod(container(command=["false"])), tmp_path) as (story, _):
        waiting = await story.until(
            lambda s: (
                dig(s, "containerStatuses", default=[{}])[0].get("state", {}).get("waiting", {}).get("reason")
                == "CrashLoopBackOff"
            )
        )
        assert waiting["phase"] == "Running"
        assert waiting["containerStatuses"][0]["restartCount"] == 1
        assert len(await story.runtime.list_containers()) == 2


async def test_a_pod_that_is_over_is_reported_and_its_sandbox_stopped(tmp_path: Path) -> None:
    async with told(pod(container(command=["false"]), restartPolicy="Never"), tmp_path) as (story, _):
        over = await story.until(lambda s: s.get("phase") == "Failed")
        assert over["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 1


async def test_a_pod_that_the_node_ends_says_that_it_was_disrupted(tmp_path: Path) -> None:
    async with told(pod(container(command=["serve"])), tmp_path) as (story, _):
        await story.until(is_running)
        story.worker.fail(PREEMPTED)
        over = await story.until(lambda s: s.get("phase") == "Succeeded")  # its process ends well when it is asked to
        await asyncio.wait_for(story.worker.stopped.wait(), 60)
    disruption = next(c for c in over["conditions"] if c["type"] == "DisruptionTarget")
    assert (disruption["status"], disruption["reason"]) == ("True", "TerminationByKubelet")


@pytest.mark.parametrize("is_told", [True, False], ids=["and the API knows", "while the API is away"])
async def test_a_pod_that_the_node_ends_lets_go_of_its_volumes(tmp_path: Path, is_told: bool) -> None:
    """Whoever ends it for the machine's sake waits for that: a driver that ends later may be needed for it."""
    may_release = asyncio.Event()

    async def release(_: str) -> None:
        await may_release.wait()

    async with told(pod(container(command=["serve"])), tmp_path) as (story, _):
        await story.until(is_running)
        story.volumes.release = release  # type: ignore[method-assign]
        story.api.is_away = not is_told
        story.worker.fail(Ending("Terminated", "the machine goes down"))
        await asyncio.wait_for(story.worker.stopped.wait(), 60)
        assert not story.worker.released.is_set()
        may_release.set()
        await asyncio.wait_for(story.worker.released.wait(), 60)


async def test_a_critical_pod_makes_others_go_before_it_starts(tmp_path: Path) -> None:
    asks = container(command=["serve"], resources={"requests": {"cpu": "1"}})
    other = {**pod(asks, meta={"name": "other", "uid": "u2"}), "status": {"startTime": "2026-01-02T03:04:05Z"}}
    node = {"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "1", "pods": "110"}}}
    nodes = Table(NODE)
    nodes.put(Entry.of(NODE, node))
    story = Story(pod(asks, priority=2_000_000_000), tmp_path, tables={NODE: nodes})
    story.bind(other)
    story.worker.node.allocations.admit(other)
    async with asyncio.TaskGroup() as group:
        working = group.create_task(story.worker.run())
        await story.until(is_running)
        working.cancel()
    assert [ended["metadata"]["name"] for ended in story.ended] == ["other"]
    assert story.told[0] == "Preempting"


async def test_of_two_pods_that_come_at_once_the_second_counts_the_first(tmp_path: Path) -> None:
    asks = container(resources={"requests": {"cpu": "1"}})
    node = {"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "1", "pods": "110"}}}
    nodes = Table(NODE)
    nodes.put(Entry.of(NODE, node))
    pods = [pod(asks, meta={"name": name, "uid": name}) for name in ("first", "second")]
    story = Story(pods[0], tmp_path, tables={NODE: nodes})
    story.bind(*pods)
    found = await asyncio.gather(*(admit(each, story.worker.node) for each in pods))
    assert [refused and refused[0] for refused in found] == [None, "OutOfcpu"]


async def test_a_label_that_came_with_the_pod_is_asked_for(tmp_path: Path) -> None:
    node = {"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "1", "pods": "110"}}}
    nodes = Table(NODE)
    nodes.put(Entry.of(NODE, node))
    of = pod(container(), nodeSelector={"disk": "ssd"})
    story = Story(of, tmp_path, tables={NODE: nodes})
    refused = await admit(of, story.worker.node)
    assert refused is not None
    assert refused[0] == "NodeAffinity"
    story.api.node = {**node, "metadata": {"name": "n1", "labels": {"disk": "ssd"}}}
    assert await admit(of, story.worker.node) is None


async def test_logs_of_pods_that_are_no_more_are_removed(tmp_path: Path) -> None:
    nodes = Table(NODE)
    async with told(pod(container(command=["serve"])), tmp_path, tables={NODE: nodes}) as (story, _):
        await story.until(is_running)
    logs = tmp_path / "logs"
    for name in ("default_web_u1", "default_gone_u9", "lost+found"):
        (logs / name / "main").mkdir(parents=True, exist_ok=True)
    async with taken_over(story, story.runtime, tmp_path, nodes):
        await until(lambda: not (logs / "default_gone_u9").exists())
    assert {path.name for path in logs.iterdir()} == {"default_web_u1", "lost+found"}


@pytest.mark.parametrize("is_up", [True, False], ids=["while it ran on", "and the machine was started again"])
async def test_a_pod_that_fits_no_more_goes_only_where_it_has_to_begin_anew(tmp_path: Path, is_up: bool) -> None:
    """The node was given other labels while no kubelet looked."""
    of = pod(container(command=["serve"]), nodeSelector={"disk": "ssd"})
    nodes = Table(NODE)
    node = {"metadata": {"name": "n1", "labels": {"disk": "ssd"}}, "status": {"allocatable": {"pods": "110"}}}
    nodes.put(Entry.of(NODE, node))
    async with told(of, tmp_path, tables={NODE: nodes}) as (story, _):
        await story.until(is_running)
    runtime = story.runtime if is_up else MemoryRuntime()
    nodes.put(Entry.of(NODE, {"metadata": {"name": "n1"}, "status": {"allocatable": {"pods": "110"}}}))
    async with taken_over(story, runtime, tmp_path, nodes) as api:
        if is_up:
            await asyncio.sleep(0.05)
            assert api.status["phase"] == "Running"
        else:
            status = await api.until(lambda status: status["phase"] == "Failed")
            assert status["reason"] == "NodeAffinity"
            assert status["message"].startswith("Pod was rejected: ")


async def test_a_pod_is_not_run_as_the_machine_s_users_where_it_asked_for_its_own(tmp_path: Path) -> None:
    async with told(pod(container(command=["serve"]), hostUsers=False), tmp_path) as (story, _):
        await until(lambda: "FailedCreatePodSandBox" in story.told)
        assert await story.runtime.list_containers() == ()


async def test_a_new_worker_adopts_what_runs(tmp_path: Path) -> None:
    of = pod(container(command=["serve"]))
    async with told(of, tmp_path) as (story, _):
        await story.until(is_running)
        first = await story.running_id()
        async with asyncio.TaskGroup() as group:
            node = story.worker.node
            successor = group.create_task(Worker(story.api.pod, node).run())
            await story.until(is_running)
            assert await story.running_id() == first
            assert len(await story.runtime.list_containers()) == 1
            successor.cancel()


async def test_of_a_pod_that_has_gone_it_is_told_when_nothing_of_it_is_left(tmp_path: Path) -> None:
    bound, node = Table(POD), Table(NODE)
    node.put(Entry.of(NODE, {"metadata": {"name": "n1"}, "status": {}}))
    story, ended = Story(pod(container(command=["serve"])), tmp_path), list[str]()
    story.volumes.clean_up = lambda ending: None  # type: ignore[attr-defined]
    of = {**story.api.pod, "spec": {**story.api.pod["spec"], "nodeName": "n1"}}
    bound.put(Entry.of(POD, of))
    pods = Pods(replace(story.worker.node, view=View({POD: bound, NODE: node})))
    pods.ended = ended.append
    uid = of["metadata"]["uid"]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pods.run())
        await story.until(is_running)
        assert pods.runs(uid)
        bound.remove(key_of(of))
        assert pods.runs(uid)
        await until(lambda: ended == [uid])
        assert not pods.runs(uid)
        assert await story.runtime.list_containers() == ()
        running.cancel()


async def test_what_an_earlier_kubelet_left_is_told_before_anything_begins(tmp_path: Path) -> None:
    """A static pod's file was changed meanwhile: what it says now waits for what it said before."""
    async with told(pod(container(command=["serve"])), tmp_path) as (story, _):
        await story.until(is_running)
    bound, node = Table(POD), Table(NODE)
    node.put(Entry.of(NODE, {"metadata": {"name": "n1"}, "status": {}}))
    story.volumes.clean_up = lambda ending: None  # type: ignore[attr-defined]
    now = pod(container(command=["serve"]), nodeName="n1")
    now["metadata"]["uid"] = "u2"
    entry = Entry.of(POD, now)
    bound.put(entry)
    pods = Pods(replace(story.worker.node, view=View({POD: bound, NODE: node})))
    beside: list[str] = []

    def ended(uid: str) -> None:
        beside.extend(uid for uid in ("u1", "u2") if pods.runs(uid))
        bound.put(entry)

    pods.left, pods.ended = lambda left: bound.remove(key_of(left)), ended
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pods.run())
        await until(lambda: pods.runs("u2"))
        running.cancel()
    assert beside == []


@pytest.mark.parametrize("is_there", [True, False], ids=["it is there", "it is no more"])
async def test_a_pod_that_memory_knows_nothing_of_runs_on_until_the_api_speaks(tmp_path: Path, is_there: bool) -> None:
    async with told(pod(container(command=["serve"])), tmp_path) as (story, _):
        await story.until(is_running)
        first = await story.running_id()
    bound, node = Table(POD), Table(NODE)
    node.put(Entry.of(NODE, {"metadata": {"name": "n1"}, "status": {}}))
    bound.remember(())
    kept: asyncio.Queue[Collection[str]] = asyncio.Queue()
    story.volumes.clean_up = kept.put_nowait  # type: ignore[attr-defined]
    pods = Pods(replace(story.worker.node, view=View({POD: bound, NODE: node})))
    of = {**story.api.pod, "spec": {**story.api.pod["spec"], "nodeName": "n1"}}
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pods.run())
        assert await kept.get() == {"u1"}
        assert await story.running_id() == first
        if is_there:
            bound.put(Entry.of(POD, of))
        bound.said()
        if is_there:
            story.runtime.crash(first, exit_code=3)
            await story.until(partial(has_restarted, 1))
            assert len(await story.runtime.list_sandboxes()) == 1
        else:
            await until(lambda: not pods.runs("u1"))
            assert await story.runtime.list_containers() == ()
        running.cancel()


async def test_a_pod_that_lost_its_sandbox_says_so_and_goes_on_in_another(tmp_path: Path) -> None:
    async with told(pod(container(command=["serve"])), tmp_path) as (story, _):
        await story.until(is_running)
        assert "SandboxChanged" not in story.told
        (sandbox,) = await story.runtime.list_sandboxes()
        await story.runtime.stop_sandbox(sandbox.id)
        story.worker.poke()
        await story.until(partial(has_restarted, 1))
        assert story.told.count("SandboxChanged") == 1


async def test_root_is_refused_where_the_pod_says_so(tmp_path: Path) -> None:
    minds = container(command=["serve"], securityContext={"runAsNonRoot": True})
    async with told(pod(minds), tmp_path) as (story, _):
        status = await story.until(
            lambda s: bool(
                dig(s, "containerStatuses", default=[{}])[0].get("state", {}).get("waiting", {}).get("message")
            )
        )
        waiting = status["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] == "CreateContainerConfigError"
        assert "image will run as root" in waiting["message"]
        assert [c for c in await story.runtime.list_containers()] == []


async def test_a_crashed_container_is_restarted_while_the_api_is_away(tmp_path: Path) -> None:
    async with told(pod(container(command=["serve"])), tmp_path) as (story, _):
        await story.until(is_running)
        story.api.is_away = True
        story.runtime.crash(await story.running_id(), exit_code=3)
        async with asyncio.timeout(60):
            while len(await story.runtime.list_containers()) < 2:
                await story.settled()
        story.api.is_away = False
        story.worker.poke()
        again = await story.until(lambda s: is_running(s) and s["containerStatuses"][0]["restartCount"] == 1)
        assert again["phase"] == "Running"


class Slow(MemoryRuntime):
    """What it answers is old by the time it arrives."""

    async def start_container(self, container_id: str) -> None:
        await asyncio.sleep(1)
        await super().start_container(container_id)

    async def container_status(self, container_id: str) -> ContainerStatus:
        status = await super().container_status(container_id)
        await asyncio.sleep(0.5)
        return status


def test_what_was_seen_before_a_start_ended_starts_nothing_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with told(pod(container(command=["serve"])), tmp_path, Slow()) as (story, _):
            for _ in range(30):  # some look while it is being started, and hear of that after it has been
                story.worker.poke()
                await asyncio.sleep(0.1)
            await story.until(is_running)
            assert story.told.count("Started") == 1
            assert len(await story.runtime.list_containers()) == 1

    virtual.run(story())


class SlowToCreate(MemoryRuntime):
    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        await asyncio.sleep(1)
        return await super().create_container(sandbox_id, config, sandbox)


def test_who_is_being_started_again_does_not_wait_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with told(pod(container(command=["serve"])), tmp_path, SlowToCreate()) as (story, _):
            await story.until(is_running)
            story.runtime.crash(await story.running_id(), exit_code=3)
            for _ in range(30):
                story.worker.poke()
                await asyncio.sleep(0.1)
            await story.until(partial(has_restarted, 1))
            assert "BackOff" not in story.told

    virtual.run(story())


def test_what_comes_after_a_post_start_hook_starts_when_that_is_over(tmp_path: Path) -> None:
    def program(command: Sequence[str]) -> Program:
        return Program() if command[0] == "serve" else Program(seconds=30)

    async def story() -> None:
        hook = {"postStart": {"exec": {"command": ["wait"]}}}
        of = pod(container("proxy", command=["serve"], lifecycle=hook), container("main", command=["serve"]))
        async with told(of, tmp_path, MemoryRuntime(program=program)) as (story, _):
            await asyncio.sleep(25)
            assert story.told.count("Started") == 1
            await asyncio.sleep(10)
            assert story.told.count("Started") == 2

    virtual.run(story())


def test_a_pod_that_does_not_end_says_so_once_and_ends_when_it_can(tmp_path: Path) -> None:
    async def story() -> None:
        async with told(pod(container(command=["serve"])), tmp_path) as (story, _):
            await story.until(is_running)
            story.runtime.faults["stop_sandbox"] = [CriError("no network")] * 3
            story.worker.fail(Ending("Evicted", "no room"))
            await asyncio.sleep(10)
            assert story.told.count("FailedKillPod") == 1
            assert story.worker.stopped.is_set()

    virtual.run(story())


class Reluctant(MemoryRuntime):
    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        await asyncio.sleep(60)
        await super().stop_container(container_id, grace_seconds=grace_seconds)


@pytest.mark.parametrize(
    ("grace", "seconds", "is_told"),
    [(0, 9, False), (0, 11, True), (20, 29, False), (20, 31, True)],
    ids=["ten seconds it always has", "and no more", "half as long again as it was given", "and no more than that"],
)
def test_a_pod_that_ends_late_for_the_node_says_so(tmp_path: Path, grace: int, seconds: float, is_told: bool) -> None:
    async def story() -> None:
        of = pod(container(command=["serve"]), terminationGracePeriodSeconds=30)
        async with told(of, tmp_path, Reluctant(), clock=virtual.LoopClock()) as (story, _):
            await story.until(is_running)
            story.worker.fail(Ending("Evicted", "no room", grace))
            await asyncio.sleep(seconds)
            assert ("ExceededGracePeriod" in story.told) == is_told
            await asyncio.sleep(120)
            assert story.told.count("ExceededGracePeriod") == 1
            assert story.worker.stopped.is_set()

    virtual.run(story())


def test_who_is_being_stopped_for_its_probe_is_not_asked_again(tmp_path: Path) -> None:
    """Of a container that takes its time to end; whether it is ready is asked all the while."""
    asked: list[str] = []

    def program(command: Sequence[str]) -> Program:
        asked.extend(command if command[0] != "serve" else ())
        return (
            Program(seconds=0, exit_code=int(command[0] == "live")) if command[0] != "serve" else Program(on_stop=None)
        )

    async def story() -> None:
        live = {"exec": {"command": ["live"]}, "periodSeconds": 1, "failureThreshold": 2}
        ready = {"exec": {"command": ["ready"]}, "periodSeconds": 1}
        of = pod(container(command=["serve"], livenessProbe=live, readinessProbe=ready))
        async with told(of, tmp_path, MemoryRuntime(program=program)) as (story, _):
            await until(lambda: "Killing" in story.told)
            before = asked.count("ready")
            for _ in range(20):
                story.worker.poke()
                await asyncio.sleep(1)
            assert asked.count("live") == 2
            assert asked.count("ready") >= before + 19
            assert story.api.status["containerStatuses"][0]["ready"] is True

    virtual.run(story())


def test_who_ends_well_to_begin_anew_is_no_success(tmp_path: Path) -> None:
    """Another image, and a container that ends with 0 when it is asked to."""

    async def story() -> None:
        of = pod(container(command=["serve"]), restartPolicy="OnFailure")
        async with told(of, tmp_path, SlowToCreate()) as (story, _):
            phases = []
            await story.until(is_running)
            story.api.heard = lambda of: phases.append(of["status"]["phase"])
            spec = {**story.api.pod["spec"], "containers": [container(command=["serve"], image=f"{IMAGE}.1")]}
            meta = {**story.api.pod["metadata"], "resourceVersion": "100"}
            story.api.pod = {**story.api.pod, "metadata": meta, "spec": spec}
            story.worker.update(story.api.pod)
            again = await story.until(partial(has_restarted, 1))
            assert again["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 0
            assert {*phases} == {"Running"}

    virtual.run(story())


def test_who_ends_well_for_its_probe_is_no_success(tmp_path: Path) -> None:
    def program(command: Sequence[str]) -> Program:
        return Program() if command[0] == "serve" else Program(seconds=0, exit_code=1)

    async def story() -> None:
        live = {"exec": {"command": ["live"]}, "periodSeconds": 1, "failureThreshold": 2}
        of = pod(container(command=["serve"], livenessProbe=live), restartPolicy="OnFailure")
        async with told(of, tmp_path, MemoryRuntime(program=program)) as (story, _):
            seen = set()
            await story.until(is_running)
            story.api.heard = lambda of: seen.update(
                (of["status"]["phase"], *of["status"]["containerStatuses"][0]["state"])
            )
            await asyncio.sleep(60)
            assert seen == {"Running", "running", "waiting"}
            assert story.told.count("Started") >= 2

    virtual.run(story())


async def test_a_volume_whose_image_is_not_to_be_had_is_told_as_the_containers_own(tmp_path: Path) -> None:
    runtime = MemoryRuntime(registry=frozenset((IMAGE,)))
    volume = {"name": "data", "image": {"reference": "registry.example/data:1", "pullPolicy": "Always"}}
    mounting = container(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    async with told(pod(mounting, container("other"), volumes=[volume]), tmp_path, runtime) as (story, _):

        def waits(status: Object) -> bool:
            statuses = status.get("containerStatuses", ())
            return [dig(s, "state", "waiting", "reason") for s in statuses] == ["ErrImagePull", None]

        found = await story.until(waits)
        assert "registry.example/data:1: not found" in found["containerStatuses"][0]["state"]["waiting"]["message"]


def having(*auths: AuthConfig) -> Callable[[], Awaitable[list[Credential]]]:
    async def lookup() -> list[Credential]:
        return [Credential(auth) for auth in auths]

    return lookup


def test_a_failed_pull_is_told_then_its_back_off_and_a_new_pod_does_not_wait() -> None:
    async def story() -> None:
        runtime = MemoryRuntime(registry=frozenset())
        images = Images(runtime, virtual.LoopClock())

        async def ask(owner: str) -> str:
            with pytest.raises(ImageError) as refused:
                await images.ensure(IMAGE, "Always", having(), lambda type_, reason, message: None, owner=owner)
            return refused.value.reason

        said = [await ask("one"), await ask("one"), await ask("two")]
        assert said == ["ErrImagePull", "ImagePullBackOff", "ErrImagePull"]
        await asyncio.sleep(10)
        assert await ask("one") == "ErrImagePull"

    virtual.run(story())


@pytest.mark.parametrize(
    ("image", "failure", "reason", "words"),
    [
        (
            "App",
            None,
            "InvalidImageName",
            'Failed to apply default image tag "App": couldn\'t parse image name "App": '
            "invalid reference format: repository name (library/App) must be lowercase",
        ),
        (IMAGE, CriError("no answer"), "ImageInspectError", 'Failed to inspect image "": no answer'),
    ],
    ids=["it is no name", "nobody knows whether it is there"],
)
async def test_an_image_that_cannot_be_looked_for(
    image: str, failure: CriError | None, reason: str, words: str
) -> None:
    told, runtime = [], MemoryRuntime()
    if failure is not None:
        runtime.faults["image_status"] = [failure]
    images = Images(runtime, SystemClock())
    with pytest.raises(ImageError, match=re.escape(words)) as refused:
        await images.ensure(image, "IfNotPresent", having(), lambda *event: told.append(event), owner="one")
    assert refused.value.reason == reason
    assert told == [("Warning", "InspectFailed", words)]


def test_who_waits_for_a_turn_to_pull_says_so() -> None:
    class Slow(MemoryRuntime):
        async def pull_image(self, reference: str, *, auth: AuthConfig | None = None, **_: Any) -> str:
            await asyncio.sleep(3)
            return await super().pull_image(reference)

    async def story() -> None:
        images, told = Images(Slow(), virtual.LoopClock(), at_once=1), list[str]()

        async def ask(image: str) -> None:
            await images.ensure(image, "Always", having(), lambda *event: told.append(event[2]), owner=image)

        await asyncio.gather(ask("reg/one"), ask("reg/two"))
        took = [words.split(" in ")[1].split(". ")[0] for words in told if words.startswith("Successfully")]
        assert took == ["3s (3s including waiting)", "3s (6s including waiting)"]

    virtual.run(story())


def test_a_pull_is_shared_by_those_with_the_same_credentials_alone() -> None:
    class Registry(MemoryRuntime):
        async def pull_image(self, reference: str, *, auth: AuthConfig | None = None, **_: Any) -> str:
            self.asked = [*getattr(self, "asked", ()), auth]
            await asyncio.sleep(1)
            if auth is None:
                raise PullError("401 Unauthorized")
            return await super().pull_image(reference)

    async def story() -> None:
        runtime, me = Registry(), AuthConfig(username="me")
        images = Images(runtime, virtual.LoopClock())

        async def ask(owner: str, *auths: AuthConfig) -> str:
            found = await images.ensure(
                IMAGE, "Always", having(*auths), lambda type_, reason, message: None, owner=owner
            )
            return found.id

        asked = (ask("one"), ask("two", me), ask("three", me))
        nobody, *known = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(nobody, ImageError)
        assert known[0] == known[1]
        assert runtime.asked == [None, me]

    virtual.run(story())


async def test_what_a_pods_group_is_made_with_is_known(tmp_path: Path) -> None:
    """It may be resized before anything runs in it."""
    asks = {"requests": {"cpu": "100m"}}
    story = Story(pod(container(resources=asks)), tmp_path)
    await story.worker._acting._start_sandbox(0, Observed(()))
    assert story.worker._resizing.enforced == {GROUP: asks}
