"""A pod's volumes, on real files and mounts: what is made, kept up to date, told, tried again and removed."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.volumes import mounts, tools
from pylet.agent.kubelet.volumes.empty_dir import page_size
from pylet.agent.kubelet.volumes.interface import VolumeError
from pylet.agent.kubelet.volumes.mounter import NotMounted
from pylet.agent.kubelet.volumes.usage import Usage
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.persistentvolume import KIND as PERSISTENT_VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object
from tests.agent.kubelet.volumes.kit import Node, pod
from tests.waiting import until

CONFIG = {"name": "config", "configMap": {"name": "app", "defaultMode": 0o644}}
TOKEN = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
SCRATCH: Object = {"name": "scratch", "emptyDir": {}}
CLAIMED = {"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}
_DISKS = (Path("/dev/loop0"), Path("/dev/vda"), Path("/dev/sda"))


@pytest.fixture
def node(tmp_path: Path) -> Any:
    node = Node(tmp_path / "kubelet")
    yield node
    mounts.unmount_below(tmp_path)


def config(node: Node, **data: str) -> None:
    node.api.put(CONFIG_MAP, {"metadata": {"name": "app", "namespace": "default"}, "data": data})


def bound(node: Node, claim: Object | None = None, **spec: Any) -> None:
    meta = {"name": "claim", "namespace": "default"}
    stored = node.api.put(CLAIM, {"metadata": meta, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}})
    volume = {"claimRef": {"uid": stored["metadata"]["uid"]}, "accessModes": ["ReadWriteOnce"], **spec}
    node.api.put(PERSISTENT_VOLUME, {"metadata": {"name": "pv"}, "spec": volume})


async def test_a_config_map_is_files_behind_one_link(node: Node) -> None:
    config(node, key="one")
    path = (await node.volumes.mount(pod(CONFIG)))["config"]
    assert (path / "key").read_text() == "one"
    assert os.readlink(path / "key") == "..data/key"
    assert path == node.root / "pods/u1/volumes/kubernetes.io~configmap/config"


async def test_a_change_reaches_the_files_in_one_step(node: Node) -> None:
    config(node, key="one", other="gone")
    path = (await node.volumes.mount(pod(CONFIG)))["config"]
    before = os.readlink(path / "..data")
    async with node.following():
        config(node, key="two")
        await until(lambda: (path / "key").read_text() == "two")
    assert os.readlink(path / "..data") != before
    assert sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("..")) == ["key"]


async def test_a_pod_that_ran_before_pylet_did_is_kept_up_to_date(node: Node) -> None:
    config(node, key="one")
    path = (await node.volumes.mount(pod(CONFIG, TOKEN)))["config"]
    token = path.parent.parent / "kubernetes.io~projected/token/token"
    node.restarted()
    config(node, key="two")
    async with node.following():
        node.volumes.adopt(pod(CONFIG, TOKEN))
        await until(lambda: (path / "key").read_text() == "two")
        await until(lambda: token.read_text() == "token-2")  # the old one may be over: the clock has been set
        config(node, key="three")
        await until(lambda: (path / "key").read_text() == "three")


async def test_what_is_deleted_stays_in_a_running_pod(node: Node) -> None:
    config(node, key="one")
    told: list[tuple[str, ...]] = []
    path = (await node.volumes.mount(pod(CONFIG)))["config"]
    node.volumes.host.tell = lambda about, *words: told.append((about["metadata"]["name"], *words))
    async with node.following():
        node.api.remove(CONFIG_MAP, Key("default", "app"))
        assert (await node.volumes.mount(pod(CONFIG)))["config"] == path
        await until(lambda: bool(told))
    assert (path / "key").read_text() == "one"
    why = 'MountVolume.SetUp failed for volume "config" : configmap "app" not found'
    assert set(told) == {("web", "Warning", "FailedMount", why)}


async def test_a_pod_the_api_has_no_more_keeps_what_it_shows(node: Node) -> None:
    config(node, key="one")
    gone = (await node.volumes.mount(pod(CONFIG)))["config"]
    stays = (await node.volumes.mount(pod(CONFIG, uid="u2")))["config"]
    node.volumes.freeze("u1")
    async with node.following():
        config(node, key="two")
        await until(lambda: (stays / "key").read_text() == "two")
    assert (gone / "key").read_text() == "one"


async def test_a_missing_object_is_told_once_and_wakes_the_pod_when_it_comes(node: Node) -> None:
    with pytest.raises(NotMounted) as missing:
        await node.volumes.mount(pod(CONFIG))
    assert missing.value.messages == ['MountVolume.SetUp failed for volume "config" : configmap "app" not found']
    with pytest.raises(NotMounted) as again:
        await node.volumes.mount(pod(CONFIG))
    assert again.value.messages == []
    config(node, key="one")
    assert node.woken == ["u1"]
    assert (await node.volumes.mount(pod(CONFIG)))["config"].is_dir()


async def test_one_volume_does_not_wait_for_another(node: Node) -> None:
    with pytest.raises(NotMounted):
        await node.volumes.mount(pod(CONFIG, {"name": "scratch", "emptyDir": {}}))
    assert (node.root / "pods/u1/volumes/kubernetes.io~empty-dir/scratch").is_dir()


async def test_a_volume_that_no_container_uses_is_not_mounted(node: Node) -> None:
    unused = pod({"name": "scratch", "emptyDir": {}})
    unused["spec"]["volumes"].append(CONFIG)
    assert list(await node.volumes.mount(unused)) == ["scratch"]


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        pytest.param(
            {"configMap": {"name": "app", "items": [{"key": "no", "path": "no"}]}},
            "configmap references non-existent config key: no",
            id="a key that the ConfigMap does not have",
        ),
        pytest.param(
            {"secret": {"secretName": "login", "items": [{"key": "no", "path": "no"}]}},
            "references non-existent secret key: no",
            id="a key that the Secret does not have",
        ),
        pytest.param({"secret": {"secretName": "no"}}, 'secret "no" not found', id="a Secret that is not there"),
        pytest.param(
            {"hostPath": {"path": "/dev/null", "type": "Directory"}},
            "hostPath type check failed: /dev/null is not a directory",
            id="a path that is something else",
        ),
        pytest.param(
            {"hostPath": {"path": "/does/not/exist", "type": "File"}},
            "hostPath type check failed: /does/not/exist is not a file",
            id="a path that is nothing",
        ),
        pytest.param(
            {"hostPath": {"path": "/dev/null/below", "type": "DirectoryOrCreate"}},
            "/dev/null/below: Not a directory",
            id="a path that cannot be made",
        ),
        pytest.param(
            {"emptyDir": {"medium": "HugePages"}},
            "medium HugePages: hugePages storage requested, but there is no resource request for huge pages",
            id="huge pages that no container asks for",
        ),
        pytest.param(
            {"emptyDir": {"medium": "Disk"}},
            'unknown storage medium "Disk"',
            id="a medium that nobody knows",
        ),
        pytest.param(
            {"nfs": {"server": "192.0.2.1", "path": "/"}},
            "mount.nfs is not installed on this node: install nfs-common (nfs-utils)",
            id="a file system whose tool is missing",
            marks=pytest.mark.skipif(shutil.which("mount.nfs") is not None, reason="it is there"),
        ),
        pytest.param(
            {"image": {"reference": "registry.example/app:1"}},
            "image volumes are not served by this node",
            id="an image where nobody pulls images",
        ),
        pytest.param(
            {"projected": {"sources": [{"podCertificate": {}}]}},
            "source podCertificate is not served by this cluster",
            id="a projection that pylet does not serve",
        ),
    ],
)
async def test_a_volume_that_cannot_be_made_says_why(node: Node, volume: Object, why: str) -> None:
    config(node, key="one")
    node.api.put(SECRET, {"metadata": {"name": "login", "namespace": "default"}, "data": {}})
    with pytest.raises(NotMounted) as refused:
        await node.volumes.mount(pod({"name": "v", **volume}), ["v"])
    assert refused.value.messages == [f'MountVolume.SetUp failed for volume "v" : {why}']


async def test_what_is_optional_may_be_missing_and_comes_later(node: Node) -> None:
    optional = {"name": "config", "configMap": {"name": "app", "optional": True}}
    path = (await node.volumes.mount(pod(optional)))["config"]
    async with node.following():
        config(node, key="one")
        await until(lambda: (path / "key").exists())


async def test_memory_is_a_tmpfs_of_the_least_size(node: Node) -> None:
    path = (await node.volumes.mount(pod({"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})))["m"]
    stats = os.statvfs(path)
    assert stats.f_blocks * stats.f_frsize == 1 << 20
    assert node.mounts() == [path]


@pytest.mark.parametrize(
    ("medium", "asked", "expected"),
    [
        ("HugePages", ["hugepages-2Mi"], 2 << 20),
        ("HugePages-1Gi", ["hugepages-2Mi", "hugepages-1Gi"], 1 << 30),
        ("HugePages-1Gi", ["hugepages-2Mi"], "medium HugePages-1Gi: hugePages storage requested, but there is no"),
        ("HugePages", ["hugepages-2Mi", "hugepages-1Gi"], "medium: HugePages can't be used if container requests mul"),
    ],
)
def test_how_large_the_pages_of_a_volume_are(medium: str, asked: list[str], expected: int | str) -> None:
    asking: Object = {"spec": {"containers": [{"resources": {"requests": dict.fromkeys([*asked, "cpu"], "1")}}]}}
    if isinstance(expected, int):
        assert page_size(medium, asking) == expected
    else:
        with pytest.raises(VolumeError, match=expected):
            page_size(medium, asking)


@pytest.mark.skipif(not Path("/sys/kernel/mm/hugepages/hugepages-2048kB").exists(), reason="no huge pages here")
async def test_huge_pages_are_a_file_system_of_their_own(node: Node) -> None:
    huge = pod({"name": "h", "emptyDir": {"medium": "HugePages"}}, securityContext={"fsGroup": 1234})
    huge["spec"]["containers"][0]["resources"] = {"requests": {"hugepages-2Mi": "2Mi"}}
    path = (await node.volumes.mount(huge))["h"]
    assert os.statvfs(path).f_frsize == 2 << 20
    assert path.stat().st_gid == 1234
    await node.volumes.unmount("u1")
    assert node.mounts() == []


async def test_a_mode_the_pod_changed_survives_a_restart_of_pylet(node: Node) -> None:
    path = (await node.volumes.mount(pod({"name": "d", "emptyDir": {}})))["d"]
    assert path.stat().st_mode & 0o7777 == 0o777
    path.chmod(0o700)
    await node.restarted().mount(pod({"name": "d", "emptyDir": {}}))
    assert path.stat().st_mode & 0o7777 == 0o700


async def test_the_group_owns_what_is_written(node: Node) -> None:
    config(node, key="one")
    memory = {"name": "m", "emptyDir": {"medium": "Memory"}}
    grouped = pod(CONFIG, {"name": "d", "emptyDir": {}}, memory, securityContext={"fsGroup": 1234})
    paths = await node.volumes.mount(grouped)
    found = {name: (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) for name, path in paths.items()}
    assert found == {"config": (1234, 0o2777), "d": (1234, 0o2777), "m": (1234, 0o3777)}
    assert (paths["config"] / "..data").stat().st_gid == 1234
    assert (paths["config"] / "key").stat().st_gid == 1234


async def test_a_token_is_asked_for_once_and_bound_to_the_pod(node: Node) -> None:
    source = {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}}
    projected = {"name": "t", "projected": {"sources": [source]}}
    path = (await node.volumes.mount(pod(projected)))["t"]
    assert (path / "token").read_text() == "token-1"
    (request,) = node.api.tokens
    assert request["spec"]["audiences"] == ["vault"]
    assert request["spec"]["boundObjectRef"]["uid"] == "u1"


@pytest.mark.parametrize(
    ("context", "wanted"),
    [
        pytest.param({}, (0, 0, 0o644), id="of nobody in particular: all may read it"),
        pytest.param({"runAsUser": 1000}, (1000, 0, 0o600), id="of one user: it alone"),
        pytest.param({"fsGroup": 10000}, (0, 10000, 0o640), id="of a group: it alone"),
        pytest.param({"runAsUser": 1000, "fsGroup": 10000}, (1000, 10000, 0o640), id="of both: both"),
    ],
)
async def test_who_may_read_a_token(node: Node, context: Object, wanted: tuple[int, int, int]) -> None:
    projected = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    path = (await node.volumes.mount(pod(projected, securityContext=context)))["t"]
    found = (path / "token").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == wanted


async def test_labels_reach_the_downward_files(node: Node) -> None:
    item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    web = pod({"name": "d", "downwardAPI": {"items": [item]}})
    web["metadata"]["labels"] = {"a": "1"}
    path = (await node.volumes.mount(web))["d"]
    assert (path / "labels").read_text() == 'a="1"'
    async with node.following():
        node.volumes.follow({**web, "metadata": {**web["metadata"], "labels": {"a": "2"}}})
        await until(lambda: (path / "labels").read_text() == 'a="2"')


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        pytest.param(
            None, 'failed to fetch PVC from API server: persistentvolumeclaims "claim" not found', id="no claim"
        ),
        pytest.param({"spec": {}, "status": {"phase": "Pending"}}, "PVC is not bound", id="an unbound claim"),
        pytest.param(
            {"spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}},
            'failed to fetch PV pv from API server: persistentvolumes "pv" not found',
            id="no volume",
        ),
    ],
)
async def test_a_claim_without_a_volume_is_waited_for(node: Node, claim: Object | None, why: str) -> None:
    if claim is not None:
        node.api.put(CLAIM, {"metadata": {"name": "claim", "namespace": "default"}, **claim})
    with pytest.raises(NotMounted) as waits:
        await node.volumes.mount(pod(CLAIMED))
    lists = "unmounted volumes=[data], unattached volumes=[], failed to process volumes=[data]"
    words = f"Unable to attach or mount volumes: {lists}: error processing PVC default/claim: {why}"
    assert waits.value.messages == [words]


async def test_a_claim_leads_to_a_path_of_the_node(node: Node, tmp_path: Path) -> None:
    bound(node, hostPath={"path": str(tmp_path / "pv"), "type": "DirectoryOrCreate"})
    assert await node.volumes.mount(pod(CLAIMED)) == {"data": tmp_path / "pv"}


async def test_a_volume_for_one_pod_is_refused_to_a_second(node: Node, tmp_path: Path) -> None:
    bound(node, hostPath={"path": str(tmp_path)}, accessModes=["ReadWriteOncePod"])
    assert await node.volumes.mount(pod(CLAIMED)) == await node.volumes.mount(pod(CLAIMED)) == {"data": tmp_path}
    words = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
    with pytest.raises(NotMounted, match=f"MountVolume.SetUp failed for volume .* : {words}"):
        await node.volumes.mount(pod(CLAIMED, uid="u2"))
    await node.volumes.unmount("u1")
    assert await node.volumes.mount(pod(CLAIMED, uid="u3")) == {"data": tmp_path}


async def test_what_is_locked_is_remembered_no_longer_than_it_is_locked(node: Node) -> None:
    host, disk = node.volumes.host, node.root / "disk"
    async with host.lock(disk):
        assert host.lock(disk).locked()
    assert not host._locks


async def test_a_local_directory_is_bound_and_kept_when_its_pods_are_gone(node: Node, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").write_text("precious")
    bound(node, local={"path": str(tmp_path / "disk")})
    for uid in ("u1", "u2"):
        path = (await node.volumes.mount(pod(CLAIMED, uid=uid)))["data"]
        assert (path / "file").read_text() == "precious"
    for uid in ("u1", "u2"):
        await node.volumes.unmount(uid)
    assert node.mounts() == []
    assert (tmp_path / "disk" / "file").read_text() == "precious"


async def test_a_local_directory_that_others_have_is_given_to_no_other_group(node: Node, tmp_path: Path) -> None:
    told: list[str] = []
    (disk := tmp_path / "disk").mkdir()
    bound(node, local={"path": str(disk)})
    node.volumes.host.tell = lambda _, type_, reason, message: told.append(f"{type_} {reason} {message}")
    for uid, group in (("u1", 4321), ("u2", 4321), ("u3", 1234)):
        await node.volumes.mount(pod(CLAIMED, uid=uid, securityContext={"fsGroup": group}))
        assert disk.stat().st_gid == 4321
    words = "The requested fsGroup is 1234, but the volume pv has GID 4321. The volume may not be shareable."
    assert told == [f"Warning AlreadyMountedVolume {words}"]
    for uid in ("u1", "u2", "u3"):
        await node.volumes.unmount(uid)


async def test_a_pod_that_goes_reads_the_mounts_of_the_node_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    config(node, key="one")
    memory = {"name": "memory", "emptyDir": {"medium": "Memory"}}
    await node.volumes.mount(pod(CONFIG, SCRATCH))
    await node.volumes.mount(pod(CONFIG, memory, uid="u2"))
    reads, really = list[int](), mounts._mount_points
    monkeypatch.setattr(mounts, "_mount_points", lambda: reads.append(1) or really())
    await node.volumes.unmount("u1")
    assert len(reads) == 1
    await node.volumes.release("u2")  # what was mounted is looked at again before its directory is removed
    await node.volumes.unmount("u2")
    assert len(reads) == 1 + 2 + 1
    assert list((node.root / "pods").iterdir()) == []


def test_a_mount_point_is_found_whatever_its_name_is(tmp_path: Path) -> None:
    odd = tmp_path / "a b\\c\n\u00e4"
    odd.mkdir()
    mounts.mount_tmpfs(odd)
    try:
        assert mounts.is_mounted(odd)
        assert mounts.mounts_below(tmp_path) == [odd]
    finally:
        mounts.unmount(odd)
    assert not mounts.unmount_below(tmp_path)


@pytest.mark.parametrize(
    ("swap", "options", "expected"),
    [
        pytest.param(0, "no-such-option", False, id="there is no swap"),
        pytest.param(1 << 30, "size=4096", False, id="the kernel promises"),
        pytest.param(1 << 30, "no-such-option", True, id="the kernel does not know how"),
    ],
)
def test_whether_memory_may_get_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: int, options: str, *, expected: bool
) -> None:
    really = mounts._mount
    monkeypatch.setattr(mounts, "meminfo", lambda: {"SwapTotal": swap})
    monkeypatch.setattr(mounts, "_mount", lambda *what: really(*what[:4], options))
    assert mounts.may_swap(tmp_path) is expected
    assert list(tmp_path.iterdir()) == []


async def test_a_volume_of_another_node_is_refused(node: Node, tmp_path: Path) -> None:
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]}
    bound(node, local={"path": str(tmp_path)}, nodeAffinity={"required": {"nodeSelectorTerms": [term]}})
    with pytest.raises(NotMounted) as refused:
        await node.volumes.mount(pod(CLAIMED))
    words = 'MountVolume.NodeAffinity check failed for volume "pv" : no matching NodeSelectorTerms'
    assert refused.value.messages == [words]


async def test_a_claim_that_is_read_only_is_so_for_root(node: Node, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    bound(node, local={"path": str(tmp_path / "disk")})
    claimed = {"name": "data", "persistentVolumeClaim": {"claimName": "claim", "readOnly": True}}
    path = (await node.volumes.mount(pod(claimed)))["data"]
    with pytest.raises(OSError, match="Read-only"):
        (path / "file").touch()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A blank loop device."""
    (tmp_path / "disk.img").write_bytes(b"")
    os.truncate(tmp_path / "disk.img", 16 << 20)
    try:
        made = subprocess.run(["losetup", "-f", "--show", tmp_path / "disk.img"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no loop devices here")
    device = made.stdout.decode().strip()
    yield Path(device)
    subprocess.run(["losetup", "-d", device], check=True)


async def test_a_block_volume_is_a_device_of_the_container_and_only_its_size_is_known(node: Node, disk: Path) -> None:
    bound(node, local={"path": str(disk)}, volumeMode="Block")
    web = pod(CLAIMED, devices=("data",))
    await node.volumes.mount(web)
    bindings = await node.volumes.bind(web, web["spec"]["containers"][0], {})
    assert [(d.container_path, d.host_path, d.permissions) for d in bindings.devices] == [
        ("/dev/data", str(disk), "mrw")
    ]
    assert await node.volumes.usage("u1") == {"data": Usage(16 << 20, 0, 0, 0, 0, 0)}


async def test_a_blank_disk_is_formatted_once_and_shared_by_pods(node: Node, disk: Path) -> None:
    bound(node, local={"path": str(disk)})
    path = (await node.volumes.mount(pod(CLAIMED)))["data"]
    (path / "file").write_text("precious")
    shared = (await node.volumes.mount(pod(CLAIMED, uid="u2")))["data"]
    assert (shared / "file").read_text() == "precious"
    for uid in ("u1", "u2"):
        await node.volumes.unmount(uid)
    assert node.mounts() == []
    again = (await node.volumes.mount(pod(CLAIMED)))["data"]
    assert (again / "file").read_text() == "precious"
    await node.volumes.unmount("u1")


def _say(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def test_a_disk_with_another_file_system_is_told_of_and_kept(node: Node, disk: Path) -> None:
    _say("mkfs.ext4", "-q", disk)
    bound(node, local={"path": str(disk), "fsType": "xfs"})
    told: list[tuple[str, ...]] = []
    node.volumes.host.tell = lambda about, *words: told.append((about["metadata"]["name"], *words))
    with pytest.raises(NotMounted):
        await node.volumes.mount(pod(CLAIMED))
    (name, *_, reason, words), *_ = told
    assert (name, reason) == ("pv", "FailedMountOnFilesystemMismatch")
    assert words.startswith('MountVolume failed for volume "pv" mount failed: exit status')
    assert _say("blkid", "-p", "-o", "value", "-s", "TYPE", disk) == "ext4\n"


async def test_a_disk_is_repaired_before_it_is_mounted(node: Node, disk: Path) -> None:
    _say("mkfs.ext4", "-q", disk)
    _say("debugfs", "-w", "-R", "set_super_value state 2", disk)
    bound(node, local={"path": str(disk)})
    await node.volumes.mount(pod(CLAIMED))
    await node.volumes.unmount("u1")
    shown = _say("dumpe2fs", "-h", disk)
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("Filesystem state:")] == ["clean"]


@pytest.mark.parametrize("kind", ["disk", "device", "directory"])
async def test_a_local_volume_grows_while_a_pod_runs_and_its_claim_says_so(
    node: Node, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source = {"local": {"path": str(tmp_path if kind == "directory" else disk)}}
    source |= {"volumeMode": "Block"} if kind == "device" else {}
    bound(node, **source, capacity={"storage": "16Mi"})
    await node.volumes.mount(pod(CLAIMED, devices=("data",) if kind == "device" else ()))
    bound(node, **source, capacity={"storage": "32Mi"})
    key = Key("default", "claim")
    claim = await node.api.get(CLAIM, key)
    left = {"capacity": {"storage": "16Mi"}, "allocatedResourceStatuses": {"storage": "NodeResizePending"}}
    node.api.put(CLAIM, {**claim, "status": {**claim["status"], **left}})
    asked: list[tuple[str, ...]] = []
    told: list[tuple[str, ...]] = []

    async def run(*command: str) -> str:
        """Growing what is mounted takes a capability that tests may lack."""
        asked.append(command)
        return "ext4\n" if command[0] == "findmnt" else ""

    monkeypatch.setattr(tools, "run", run)
    node.volumes.host.tell = lambda about, *words: told.append((about["metadata"]["name"], *words))
    node.volumes._at("u1")(node.volumes._clock.now())
    async with node.following():
        await until(lambda: node.api.tables[CLAIM].entries[key].object["status"]["capacity"] == {"storage": "32Mi"})
    assert asked[1:] == ([("resize2fs", str(disk))] if kind == "disk" else [])
    says = 'MountVolume.NodeExpandVolume succeeded for volume "pv" n1'
    assert told == [(name, "Normal", "FileSystemResizeSuccessful", says) for name in ("web", "claim")]
    await node.volumes.unmount("u1")


async def test_mounts_of_files_are_read_only_whatever_is_asked(node: Node) -> None:
    config(node, key="one")
    web = pod(CONFIG, {"name": "d", "emptyDir": {}})
    await node.volumes.mount(web)
    bindings = await node.volumes.bind(web, web["spec"]["containers"][0], {})
    assert [(mount.container_path, mount.readonly) for mount in bindings.mounts] == [("/config", True), ("/d", False)]


@pytest.mark.parametrize(
    ("use", "why"),
    [
        pytest.param({"subPath": "/etc"}, "error SubPath `/etc` must not be an absolute path", id="absolute"),
        pytest.param({"subPath": "a/../.."}, "unable to provision SubPath `a/../..`: must not contain '..'", id="back"),
        pytest.param({"subPathExpr": "$(NO)"}, "missing value for NO", id="an unknown name"),
        pytest.param(
            {"subPath": "link"},
            'failed to prepare subPath for volumeMount "d" of container "main"',
            id="a link out, without a word about the node",
        ),
        pytest.param(
            {"recursiveReadOnly": "Enabled", "readOnly": True},
            'failed to resolve recursive read-only mode: volume "d" requested recursive read-only mode, but it is not '
            "supported by the runtime",
            id="what the runtime cannot",
        ),
    ],
)
async def test_a_mount_is_refused(node: Node, use: Object, why: str) -> None:
    web = pod({"name": "d", "emptyDir": {}})
    path = (await node.volumes.mount(web))["d"]
    (path / "link").symlink_to("/etc")
    container = {"name": "main", "volumeMounts": [{"name": "d", "mountPath": "/d", **use}]}
    with pytest.raises(VolumeError) as refused:
        await node.volumes.bind(web, container, {})
    assert str(refused.value) == why


async def test_sub_paths_follow_the_environment_and_are_cleaned(node: Node) -> None:
    web = pod({"name": "d", "emptyDir": {}})
    path = (await node.volumes.mount(web))["d"]
    container = {"name": "main", "volumeMounts": [{"name": "d", "mountPath": "/d", "subPathExpr": "logs/$(POD)"}]}
    bindings = await node.volumes.bind(web, container, {"POD": "web"})
    (path / "logs" / "web" / "file").write_text("mine")
    assert (Path(bindings.mounts[0].host_path) / "file").read_text() == "mine"
    await node.volumes.unmount("u1")
    assert node.mounts() == []
    assert not (node.root / "pods" / "u1").exists()


async def test_how_full_volumes_are(node: Node) -> None:
    memory = {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    paths = await node.volumes.mount(pod({"name": "d", "emptyDir": {}}, memory))
    (paths["d"] / "file").write_bytes(b"x" * 100_000)
    os.link(paths["d"] / "file", paths["d"] / "again")
    found = await node.volumes.usage("u1")
    assert 100_000 <= found["d"].used_bytes < 200_000
    assert found["d"].inodes_used == 2
    assert found["m"].capacity_bytes == 1 << 20


async def test_nothing_of_many_pods_is_left(node: Node) -> None:
    config(node, key="one")
    memory = {"name": "m", "emptyDir": {"medium": "Memory"}}
    secret = {"name": "s", "secret": {"secretName": "login"}}
    node.api.put(SECRET, {"metadata": {"name": "login", "namespace": "default"}, "data": {"user": "bWU="}})
    uids = [f"u{number}" for number in range(20)]
    for uid in uids:
        await node.volumes.mount(pod(CONFIG, memory, secret, uid=uid))
    assert len(node.mounts()) == 40
    for uid in uids[:10]:
        await node.volumes.unmount(uid)
    after, before = node.restarted(), counters.RECONSTRUCTED.value()
    after.clean_up(set())
    assert counters.RECONSTRUCTED.value() - before == 30
    async with node.following():
        await until(lambda: not list((node.root / "pods").iterdir()))
    assert node.mounts() == []
