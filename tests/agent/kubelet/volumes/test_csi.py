"""CSI with a driver of the test's own on real sockets and with real mounts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.plugins import Plugins
from pylet.agent.kubelet.volumes import mounter, mounts
from pylet.agent.kubelet.volumes.csi import unstage_unused
from pylet.agent.kubelet.volumes.csi_driver import AccessMode, Can
from pylet.agent.kubelet.volumes.csi_registration import PLUGIN_TYPE, CsiRegistration
from pylet.agent.kubelet.volumes.interface import Host, VolumeError
from pylet.agent.kubelet.volumes.mounter import NotMounted
from pylet.agent.kubelet.volumes.usage import Usage
from pylet.aio.clock import SystemClock
from pylet.api.csi import attachment_name
from pylet.api.kinds.csidriver import KIND as CSI_DRIVER
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolume import KIND as PERSISTENT_VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.volumeattachment import KIND as VOLUME_ATTACHMENT
from pylet.api.object import Key, Object
from tests.agent.kubelet.volumes.kit import CsiDriver, Node, csi_node_of, pod
from tests.waiting import until


@pytest.fixture
def root() -> Iterator[Path]:
    """Short: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pylet-") as name:
        yield Path(name)


INLINE = {"name": "data", "csi": {"driver": CsiDriver.name, "volumeAttributes": {"size": "1"}}}
CLAIMED = {"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}


@asynccontextmanager
async def cluster(root: Path, *can: Can, **driver_spec: Any) -> AsyncIterator[tuple[Node, CsiDriver]]:
    """A node with a registered driver."""
    node, driver = Node(root / "kubelet"), CsiDriver(root, *can)
    node.api.put(CSI_DRIVER, {"metadata": {"name": driver.name}, "spec": {"attachRequired": False, **driver_spec}})
    registry = node.root / "plugins_registry"
    registration = CsiRegistration(node.volumes.host, node.api, node.api, "n1")  # type: ignore[arg-type]
    plugins = asyncio.create_task(Plugins(registry, {PLUGIN_TYPE: registration}, SystemClock()).run())
    limits = asyncio.create_task(registration.run())
    try:
        await driver.serve(registry)
        await until(lambda: bool(driver.status))
        yield node, driver
    finally:
        await driver.stop()
        for task in (plugins, limits):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        assert node.mounts() == []


def bound(node: Node, **spec: Any) -> None:
    claim = {"metadata": {"name": "claim", "namespace": "default"}, "spec": {"volumeName": "pv"}}
    uid = node.api.put(CLAIM, {**claim, "status": {"phase": "Bound"}})["metadata"]["uid"]
    source = {"driver": CsiDriver.name, "volumeHandle": "vol-1", "fsType": "ext4", **spec}
    volume = {"claimRef": {"uid": uid}, "accessModes": ["ReadWriteOnce"], "csi": source}
    node.api.put(PERSISTENT_VOLUME, {"metadata": {"name": "pv"}, "spec": volume})


def as_(mode: str, node: Node) -> None:
    disk = node.api.tables[PERSISTENT_VOLUME].entries[Key("", "pv")].object
    node.api.put(PERSISTENT_VOLUME, {**disk, "spec": {**disk["spec"], "volumeMode": mode}})


async def test_a_driver_is_registered_and_known_to_the_cluster(root: Path) -> None:
    async with cluster(root) as (node, driver):
        assert driver.status[0].plugin_registered
        assert csi_node_of(node.api)["spec"]["drivers"] == [
            {"name": driver.name, "nodeID": "node-1", "topologyKeys": ["example.com/zone"], "allocatable": {"count": 8}}
        ]
        meta = (await node.api.get(NODE, Key("", "n1")))["metadata"]
        assert meta["labels"] == {"example.com/zone": "a"}
        assert meta["annotations"] == {"csi.volume.kubernetes.io/nodeid": '{"csi.example.com":"node-1"}'}


async def test_a_driver_is_asked_again_how_many_volumes_it_takes(root: Path) -> None:
    async with cluster(root, nodeAllocatableUpdatePeriodSeconds=0.01) as (node, driver):
        driver.takes = 5
        await until(lambda: csi_node_of(node.api)["spec"]["drivers"][0]["allocatable"] == {"count": 5})


async def test_a_driver_whose_socket_goes_away_is_forgotten(root: Path) -> None:
    async with cluster(root) as (node, driver):
        (node.root / "plugins_registry" / f"{driver.name}-reg.sock").unlink()
        await until(lambda: csi_node_of(node.api)["spec"]["drivers"] == [])
        assert node.volumes.host.drivers == {}


async def test_a_driver_that_starts_again_is_registered_again(root: Path) -> None:
    async with cluster(root) as (node, driver):
        first = node.volumes.host.drivers[driver.name]
        await driver.stop()
        for socket in (driver.socket, node.root / "plugins_registry" / f"{driver.name}-reg.sock"):
            socket.unlink(missing_ok=True)
        await driver.serve(node.root / "plugins_registry")
        await until(lambda: node.volumes.host.drivers.get(driver.name, first) is not first)
        assert len(csi_node_of(node.api)["spec"]["drivers"]) == 1


async def test_an_inline_volume_lives_and_dies_with_its_pod(root: Path) -> None:
    async with cluster(root, volumeLifecycleModes=["Ephemeral"], podInfoOnMount=True) as (node, driver):
        paths = await node.volumes.mount(pod(INLINE))
        await node.volumes.mount(pod(INLINE))
        (request,) = driver.asked("NodePublishVolume")
        assert Path(request.target_path) == paths["data"] == node.root / "pods/u1/volumes/kubernetes.io~csi/data/mount"
        assert request.volume_context["csi.storage.k8s.io/ephemeral"] == "true"
        assert request.volume_context["csi.storage.k8s.io/pod.name"] == "web"
        assert request.volume_context["size"] == "1"
        assert node.mounts() == [paths["data"]]
        await node.volumes.unmount("u1")
        assert len(driver.asked("NodeUnpublishVolume")) == 1
        assert not (node.root / "pods" / "u1").exists()


async def test_a_persistent_volume_is_staged_once_and_unstaged_after_its_last_pod(root: Path) -> None:
    async with cluster(root, Can.STAGE) as (node, driver):
        bound(node)
        for uid in ("u1", "u2"):
            await node.volumes.mount(pod(CLAIMED, uid=uid))
        (staged,) = driver.asked("NodeStageVolume")
        assert staged.volume_capability.mount.fs_type == "ext4"
        assert staged.volume_capability.access_mode.mode == AccessMode.SINGLE_WRITER
        assert {request.staging_target_path for request in driver.asked("NodePublishVolume")} == {
            staged.staging_target_path
        }
        await node.volumes.unmount("u1")
        assert driver.asked("NodeUnstageVolume") == []
        await node.volumes.unmount("u2")
        assert len(driver.asked("NodeUnstageVolume")) == 1
        assert list((node.root / "plugins" / "kubernetes.io" / "csi").rglob("*")) == [
            node.root / "plugins/kubernetes.io/csi" / driver.name
        ]


@pytest.mark.parametrize(
    ("code", "times"),
    [
        pytest.param(grpc.StatusCode.DEADLINE_EXCEEDED, 1, id="nobody knows whether it is staged"),
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, 0, id="the driver has refused"),
    ],
)
async def test_what_may_have_been_staged_is_unstaged_with_its_pod(
    root: Path, code: grpc.StatusCode, times: int
) -> None:
    async with cluster(root, Can.STAGE) as (node, driver):
        bound(node)
        driver.refuses["NodeStageVolume"] = code
        with pytest.raises(NotMounted):
            await node.volumes.mount(pod(CLAIMED))
        await node.volumes.unmount("u1")
        assert len(driver.asked("NodeUnstageVolume")) == times
        assert driver.asked("NodeUnpublishVolume") == []
        assert not list((node.root / "plugins" / "kubernetes.io" / "csi").rglob("vol_data.json"))


async def test_a_volume_that_cannot_be_unstaged_holds_no_pod_up_and_is_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounter, "_RETRY_SECONDS", 0)
    async with cluster(root, Can.STAGE) as (node, driver):
        bound(node)
        await node.volumes.mount(pod(CLAIMED))
        driver.refuses["NodeUnstageVolume"] = grpc.StatusCode.INVALID_ARGUMENT
        await node.volumes.unmount("u1")
        await node.volumes.mount(pod(CLAIMED, uid="u2"))
        assert len(driver.asked("NodeStageVolume")) == 2  # who knows what the failure has left
        await node.volumes.unmount("u2")
        del driver.refuses["NodeUnstageVolume"]
        async with node.following():
            await until(lambda: not list((node.root / "plugins" / "kubernetes.io" / "csi").rglob("vol_data.json")))


async def grown(node: Node, **claim: Any) -> None:
    """The driver's controller has made the bound volume larger, and left the rest to the node."""
    volume = await node.api.get(PERSISTENT_VOLUME, Key("", "pv"))
    node.api.put(PERSISTENT_VOLUME, {**volume, "spec": {**volume["spec"], "capacity": {"storage": "2Gi"}}})
    had = await node.api.get(CLAIM, Key("default", "claim"))
    left = {"allocatedResourceStatuses": {"storage": "NodeResizePending"}, **claim}
    node.api.put(CLAIM, {**had, "status": {**had["status"], "capacity": {"storage": "1Gi"}, **left}})


async def claim_status(node: Node) -> Object:
    return dict((await node.api.get(CLAIM, Key("default", "claim")))["status"])


async def test_a_volume_that_has_grown_is_expanded_and_its_claim_says_so(root: Path) -> None:
    async with cluster(root, Can.EXPAND) as (node, driver):
        bound(node)
        await grown(node)
        await node.volumes.mount(pod(CLAIMED))
        (request,) = driver.asked("NodeExpandVolume")
        assert request.capacity_range.required_bytes == 2 << 30
        status = await claim_status(node)
        assert status["capacity"] == {"storage": "2Gi"}
        assert status["allocatedResourceStatuses"] == {}
        await node.volumes.unmount("u1")


async def test_a_size_the_driver_calls_impossible_is_given_back_and_the_pod_has_the_old_one(root: Path) -> None:
    async with cluster(root, Can.EXPAND) as (node, driver):
        bound(node)
        await grown(node)
        driver.refuses["NodeExpandVolume"] = grpc.StatusCode.OUT_OF_RANGE
        with pytest.raises(NotMounted, match=r"MountVolume\.NodeExpandVolume failed .* code = OutOfRange"):
            await node.volumes.mount(pod(CLAIMED))
        status = await claim_status(node)
        assert status["allocatedResourceStatuses"] == {"storage": "NodeResizeInfeasible"}
        assert status["conditions"][0]["type"] == "NodeResizeError"
        await node.volumes.unmount("u1")
        assert "data" in await node.volumes.mount(pod(CLAIMED, uid="u2"))
        await node.volumes.unmount("u2")


@pytest.mark.parametrize("can", [(Can.STATS,), ()], ids=["counts", "does not count"])
@pytest.mark.parametrize("mode", ["Filesystem", "Block"])
async def test_how_full_a_volume_is_only_its_driver_says(root: Path, mode: str, can: tuple[int, ...]) -> None:
    async with cluster(root, *can) as (node, _):
        bound(node)
        as_(mode, node)
        await node.volumes.mount(pod(CLAIMED, devices=("data",) if mode == "Block" else ()))
        assert await node.volumes.usage("u1") == ({"data": Usage(100, 60, 40, 10, 6, 4)} if can else {})
        await node.volumes.unmount("u1")


async def test_after_a_restart_a_pod_nobody_knows_is_still_torn_down(root: Path) -> None:
    async with cluster(root, Can.STAGE) as (node, driver):
        bound(node)
        await node.volumes.mount(pod(CLAIMED))
        drivers = node.volumes.host.drivers
        after = node.restarted()
        after.host.drivers = drivers
        after.clean_up({"u2"})
        async with node.following():
            await until(lambda: not (node.root / "pods" / "u1").exists())
        assert [name for name, _ in driver.calls if name.startswith("NodeUn")] == [
            "NodeUnpublishVolume",
            "NodeUnstageVolume",
        ]


async def test_what_was_staged_for_pods_that_are_gone_is_unstaged_when_the_driver_comes_back(root: Path) -> None:
    async with cluster(root, Can.STAGE) as (node, driver):
        bound(node)
        await node.volumes.mount(pod(CLAIMED))
        host = node.volumes.host
        after = Host(host.root, host.clock)
        await unstage_unused(after, host.drivers[driver.name])
        assert driver.asked("NodeUnstageVolume") == []  # its pod is there
        shutil.move(host.root / "pods", root / "gone")
        await unstage_unused(after, host.drivers[driver.name])
        assert len(driver.asked("NodeUnstageVolume")) == 1
        mounts.unmount_below(root / "gone")


async def test_a_volume_waits_for_its_attachment_without_a_word(root: Path) -> None:
    async with cluster(root, attachRequired=True) as (node, driver):
        bound(node)
        with pytest.raises(NotMounted) as waits:
            await node.volumes.mount(pod(CLAIMED))
        assert waits.value.messages == []
        assert node.volumes.in_use() == ["kubernetes.io/csi/csi.example.com^vol-1"]
        name = attachment_name("vol-1", driver.name, "n1")
        status = {"attached": True, "attachmentMetadata": {"device": "sdx"}}
        node.api.put(VOLUME_ATTACHMENT, {"metadata": {"name": name}, "status": status})
        await until(lambda: SystemClock().now() >= waits.value.again_at)
        await node.volumes.mount(pod(CLAIMED))
        assert driver.asked("NodePublishVolume")[0].publish_context == {"device": "sdx"}
        await node.volumes.unmount("u1")
        assert node.volumes.in_use() == []


@pytest.mark.parametrize(
    ("code", "period", "is_refused"),
    [
        pytest.param(8, 60, True, id="no room, and the driver says so as it changes"),
        pytest.param(8, None, False, id="a driver whose limit does not change may yet find room"),
        pytest.param(13, 60, False, id="another error"),
    ],
)
async def test_a_pod_whose_volume_finds_no_room_on_the_node_must_go(
    root: Path, code: int, period: int | None, is_refused: bool
) -> None:
    async with cluster(root, attachRequired=True, nodeAllocatableUpdatePeriodSeconds=period) as (node, driver):
        bound(node)
        name = attachment_name("vol-1", driver.name, "n1")
        status = {"attached": False, "attachError": {"errorCode": code}}
        node.api.put(VOLUME_ATTACHMENT, {"metadata": {"name": name}, "status": status})
        with pytest.raises(NotMounted) as at_first:
            await node.volumes.mount(pod(CLAIMED))
        node.volumes._pods["u1"].since -= timedelta(minutes=10)
        with pytest.raises(NotMounted) as at_last:
            await node.volumes.mount(pod(CLAIMED))
        assert at_first.value.no_room == ""
        assert at_last.value.no_room.startswith("Node has reached its volume attachment limit") is is_refused
        await node.volumes.unmount("u1")


async def test_what_the_driver_refuses_is_told_and_leaves_nothing(root: Path) -> None:
    async with cluster(root, volumeLifecycleModes=["Ephemeral"]) as (node, driver):
        driver.refuses["NodePublishVolume"] = grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(NotMounted) as refused:
            await node.volumes.mount(pod(INLINE))
        assert refused.value.messages == [
            'MountVolume.SetUp failed for volume "data" : rpc error: code = InvalidArgument desc = the driver says no'
        ]
        assert list((node.root / "pods/u1/volumes/kubernetes.io~csi/data").iterdir()) == []
        await node.volumes.unmount("u1")


@pytest.mark.parametrize(
    ("driver_spec", "why"),
    [
        pytest.param(
            {},
            'kubernetes.io/csi: mounter.SetupAt failed to check volume lifecycle mode: volume mode "Ephemeral" not '
            'supported by driver csi.example.com (only supports ["Persistent"])',
            id="a driver that is not for inline volumes",
        ),
    ],
)
async def test_an_inline_volume_is_refused(root: Path, driver_spec: Object, why: str) -> None:
    async with cluster(root, **driver_spec) as (node, _):
        with pytest.raises(NotMounted) as refused:
            await node.volumes.mount(pod(INLINE))
        assert refused.value.messages == [f'MountVolume.SetUp failed for volume "data" : {why}']


@pytest.mark.parametrize(
    ("volume", "mode", "tried"),
    [
        (INLINE, "", 'MountVolume.SetUp failed for volume "data" : kubernetes.io/csi: mounter.SetUpAt failed to get'),
        (CLAIMED, "Filesystem", 'MountVolume.MountDevice failed for volume "pv" : kubernetes.io/csi: attacher.Mount'),
        (CLAIMED, "Block", 'MapVolume.SetUpDevice failed for volume "pv" : kubernetes.io/csi: blockMapper.SetUpDevice'),
    ],
    ids=["inline", "a file system", "a device"],
)
async def test_a_driver_that_is_not_there_is_named(root: Path, volume: Object, mode: str, tried: str) -> None:
    node = Node(root)
    node.api.put(CSI_DRIVER, {"metadata": {"name": CsiDriver.name}, "spec": {"attachRequired": False}})
    bound(node)
    as_(mode, node)
    with pytest.raises(NotMounted) as absent:
        await node.volumes.mount(pod(volume, devices=("data",) if mode == "Block" else ()))
    (message,) = absent.value.messages
    assert message.startswith(tried)
    assert message.endswith("driver name csi.example.com not found in the list of registered CSI drivers")


async def test_a_driver_that_is_not_there_is_not_missed_before_the_volume_is_attached(root: Path) -> None:
    node = Node(root)
    node.api.put(CSI_DRIVER, {"metadata": {"name": CsiDriver.name}, "spec": {"attachRequired": True}})
    bound(node)
    waits = []
    for _ in range(5):
        with pytest.raises(NotMounted, match="Volume not attached according to node status") as waiting:
            await node.volumes.mount(pod(CLAIMED))
        assert waiting.value.messages == []
        known = node.volumes._pods["u1"].trouble
        waits.append(known["data"].delay.total_seconds())
        known["data"] = replace(known["data"], until=datetime(2026, 1, 1, tzinfo=UTC))  # so that it is tried at once
    assert waits == [0.5, 1, 2, 4, 4]
    assert node.volumes.in_use() == [f"kubernetes.io/csi/{CsiDriver.name}^vol-1"]
    await node.volumes.unmount("u1")
    assert node.volumes.in_use() == []


async def test_a_driver_that_has_gone_is_asked_less_and_less(root: Path) -> None:
    async with cluster(root) as (node, driver):
        bound(node)
        await node.volumes.mount(pod(CLAIMED))
        drivers, node.volumes.host.drivers = node.volumes.host.drivers, {}
        waits = []
        for _ in range(10):
            with pytest.raises(VolumeError, match=f"driver name {driver.name} not found") as absent:
                await node.volumes.release("u1")
            assert absent.value.again_at is not None
            waits.append(node.volumes._teardown.delays["u1"].total_seconds())
        assert waits == [0.5, 1, 2, 4, 8, 16, 32, 64, 122, 122]
        node.volumes.host.drivers = drivers
        await node.volumes.unmount("u1")
        assert not node.volumes._teardown.delays


async def test_what_is_done_to_volumes_is_counted(root: Path) -> None:
    plugin, call = f"kubernetes.io/csi:{CsiDriver.name}", "/csi.v1.Node/NodePublishVolume"
    mounts_ = [(plugin, "volume_mount", status, "false") for status in ("success", "fail-unknown")]
    calls = [(CsiDriver.name, call, code, "false") for code in ("OK", "InvalidArgument")]

    def counted() -> list[int]:
        return [
            sum(of.counts(*each)) for of, all_ in ((counters.STORAGE, mounts_), (counters.CSI, calls)) for each in all_
        ]

    before = counted()
    async with cluster(root) as (node, driver):
        bound(node)
        driver.refuses["NodePublishVolume"] = grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(NotMounted):
            await node.volumes.mount(pod(CLAIMED))
        assert node.volumes.census() == {("N/A", "desired_state_of_world"): 1}
        driver.refuses.clear()
        node.volumes._pods["u1"].trouble.clear()  # what keeps it from being tried again at once
        await node.volumes.mount(pod(CLAIMED))
        assert node.volumes.census() == {(plugin, f"{state}_state_of_world"): 1 for state in ("desired", "actual")}
        await node.volumes.unmount("u1")
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1, 1, 1]


async def test_secrets_and_tokens_reach_the_driver(root: Path) -> None:
    tokens = [{"audience": "vault"}]
    async with cluster(root, tokenRequests=tokens, serviceAccountTokenInSecrets=True) as (node, driver):
        node.api.put(SECRET, {"metadata": {"name": "login", "namespace": "ns"}, "data": {"user": "bWU="}})
        bound(node, nodePublishSecretRef={"name": "login", "namespace": "ns"})
        await node.volumes.mount(pod(CLAIMED))
        (request,) = driver.asked("NodePublishVolume")
        assert request.secrets["user"] == "me"
        assert '"vault": {"token": "token-1"' in request.secrets["csi.storage.k8s.io/serviceAccount.tokens"]
        await node.volumes.unmount("u1")


@pytest.mark.parametrize(
    ("policy", "fs_type", "given"),
    [
        pytest.param("ReadWriteOnceWithFSType", "ext4", True, id="a file system for one writer is given"),
        pytest.param("ReadWriteOnceWithFSType", "", False, id="without a type nothing is known of it"),
        pytest.param("File", "", True, id="the driver asks for it always"),
        pytest.param("None", "ext4", False, id="the driver asks for it never"),
    ],
)
async def test_the_drivers_policy_decides_about_the_group(root: Path, policy: str, fs_type: str, given: bool) -> None:
    async with cluster(root, fsGroupPolicy=policy) as (node, _):
        bound(node, fsType=fs_type)
        paths = await node.volumes.mount(pod(CLAIMED, securityContext={"fsGroup": 1234}))
        assert (paths["data"].stat().st_gid == 1234) is given
        await node.volumes.unmount("u1")
