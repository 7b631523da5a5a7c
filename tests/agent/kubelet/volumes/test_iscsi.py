"""Disks of iSCSI targets: who logs in and out, when; `iscsiadm` is a script that writes down what it is asked."""

from __future__ import annotations

import stat
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.volumes import iscsi_target, tools
from pylet.agent.kubelet.volumes.mounter import NotMounted
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Object
from tests.agent.kubelet.volumes.kit import Node, pod

IQN = "iqn.2026-11.io.example:disks"
# The kernel shows a disk when its session is scanned; here all of a target are there as soon as somebody has logged in.
SCRIPT = """#!/bin/sh
echo "$*" >> {log}
[ -e {refuses} ] && case "$*" in *"$(cat {refuses})"*) echo it does not work >&2; exit 8;; esac
case "$*" in
*--login) for lun in 1 2; do ln -sf /dev/null "{links}/ip-$4-iscsi-$6-lun-$lun"; done;;
*--logout) rm {links}/*;;
esac
exit 0
"""


class Host:
    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log, self.refuses, links = directory / "log", directory / "refuses", directory / "by-path"
        for made in (links, directory / "sys", directory / "bin", directory / "kubelet"):
            made.mkdir()
        script = directory / "bin" / "iscsiadm"
        script.write_text(SCRIPT.format(log=self.log, refuses=self.refuses, links=links))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(tools, "_PATH", f"{script.parent}:{tools._PATH}")
        monkeypatch.setattr(iscsi_target, "_SYS", directory / "sys")
        monkeypatch.setattr(iscsi_target, "_BY_PATH", links)
        monkeypatch.setattr(iscsi_target, "_MULTIPATH_SECONDS", 0)
        self.node = Node(directory / "kubelet")

    def asked(self, *words: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if all(word in line for word in words)]

    def disk(self, lun: int, uid: str, **source: Any) -> Object:
        """A pod that has the disk as a device."""
        name = f"disk-{lun}"
        spec = {
            "volumeMode": "Block",
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"name": name, "uid": f"uid-{name}"},
        }
        iscsi = {"targetPortal": "192.0.2.1", "iqn": IQN, "lun": lun, **source}
        self.node.api.put(VOLUME, {"metadata": {"name": name}, "spec": {**spec, "iscsi": iscsi}})
        claim = {"spec": {"volumeMode": "Block", "volumeName": name}, "status": {"phase": "Bound"}}
        self.node.api.put(CLAIM, {"metadata": {"name": name, "namespace": "default"}, **claim})
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": name}}
        return pod(volume, uid=uid, name=uid, devices=("data",))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


async def test_a_target_is_logged_in_to_for_its_first_disk_and_out_of_after_its_last(host: Host) -> None:
    one, same, two = host.disk(1, "u1"), host.disk(1, "u2"), host.disk(2, "u3")
    for each in (one, same, two):
        assert (await host.node.volumes.mount(each))["data"] == Path("/dev/null")
    assert host.asked("--login") == [f"-m node -p 192.0.2.1:3260 -T {IQN} -I default --login"]
    volumes = host.node.restarted()
    await volumes.unmount("u1")
    await volumes.unmount("u3")
    assert not host.asked("--logout")
    await volumes.unmount("u2")
    assert host.asked("--logout") == [f"-m node -p 192.0.2.1:3260 -T {IQN} -I default --logout"]
    assert host.asked("-o delete") == [f"-m node -p 192.0.2.1:3260 -T {IQN} -I default -o delete"]
    assert not [left for left in host.node.root.glob("plugins/kubernetes.io/iscsi/*")]


async def test_what_could_not_be_logged_out_is_tried_again(host: Host) -> None:
    await host.node.volumes.mount(host.disk(1, "u1"))
    host.refuses.write_text("--logout")
    with pytest.raises(Exception, match="it does not work"):
        await host.node.volumes.unmount("u1")
    host.refuses.unlink()
    await host.node.volumes.unmount("u1")
    assert len(host.asked("--logout")) == 2
    assert not host.node.root.joinpath("pods", "u1").exists()


async def test_chap(host: Host) -> None:
    data = {"node.session.auth.username": "joe", "node.session.auth.password": "hush"}
    coded = {name: b64encode(value.encode()).decode() for name, value in data.items()}
    host.node.api.put(SECRET, {"metadata": {"name": "chap", "namespace": "default"}, "data": coded})
    secured = host.disk(1, "u1", chapAuthSession=True, secretRef={"name": "chap", "namespace": "default"})
    await host.node.volumes.mount(secured)
    updates = [line.split(" -n ")[1] for line in host.asked("-n node.session.auth")]
    assert updates == [
        f"node.session.auth.{each}" for each in ("authmethod -v CHAP", "username -v joe", "password -v hush")
    ]


@pytest.mark.parametrize(
    ("change", "refused", "words"),
    [
        ({"secretRef": None}, "", "CHAP enabled but secret name is empty"),
        ({"secretRef": {"name": "gone"}}, "", 'failed to get secret from ["default"/"gone"]: not found'),
        ({}, "auth.password", 'failed to update iscsi record with key "node.session.auth.password"'),
    ],
    ids=["no secret is named", "none is there", "the password is not told"],
)
async def test_chap_that_fails(host: Host, change: Object, refused: str, words: str) -> None:
    coded = {"node.session.auth.password": b64encode(b"hush").decode()}
    host.node.api.put(SECRET, {"metadata": {"name": "chap", "namespace": "default"}, "data": coded})
    host.refuses.write_text(refused or "nothing")
    with pytest.raises(NotMounted) as failed:
        await host.node.volumes.mount(
            host.disk(1, "u1", chapAuthSession=True, **{"secretRef": {"name": "chap"}, **change})
        )
    assert words in str(failed.value)
    assert "hush" not in str(failed.value)


async def test_several_portals_are_logged_in_to_under_an_initiators_own_name(host: Host) -> None:
    given: dict[str, Any] = {
        "portals": ["192.0.2.2:3261", "192.0.2.1:3260"],
        "initiatorName": "iqn.2026-11.io.example:me",
    }
    await host.node.volumes.mount(host.disk(1, "u1", **given))
    own = "-I 192.0.2.1:3260:disk-1"
    assert [line.split()[3] for line in host.asked("--login", own)] == ["192.0.2.1:3260", "192.0.2.2:3261"]
    assert host.asked("iface", own, "-n iface.initiatorname -v iqn.2026-11.io.example:me")
    await host.node.volumes.unmount("u1")
    assert len(host.asked("--logout", own)) == 2
    assert host.asked("-m iface", own, "-o delete")


async def test_one_portal_that_answers_is_enough(host: Host) -> None:
    host.refuses.write_text("192.0.2.1")
    await host.node.volumes.mount(host.disk(1, "u1", portals=["192.0.2.2"]))
    host.refuses.write_text("192.0.2")
    with pytest.raises(NotMounted, match="failed to get any path for iscsi disk, last err seen:"):
        await host.node.volumes.mount(host.disk(2, "u2", iqn="iqn.2026-11.io.example:other"))
