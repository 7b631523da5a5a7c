"""What devices by name mean to a runtime that does not know."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from pylet.agent.kubelet import cdi
from pylet.agent.kubelet.provided import CannotProvide, Extras
from pylet.cri.features import Version
from pylet.cri.messages import CDIDevice, Device, Mount

SPEC = {
    "cdiVersion": "0.6.0",
    "kind": "example.com/gpu",
    "containerEdits": {"env": ["DRIVER=1"]},
    "devices": [
        {
            "name": "a",
            "containerEdits": {
                "env": ["GPU=a=b"],
                "deviceNodes": [
                    {"path": "/dev/gpu", "hostPath": "/dev/null"},
                    {"path": "/dev/zero", "permissions": "r"},
                ],
                "mounts": [{"hostPath": "/lib/gpu", "containerPath": "/gpu", "options": ["ro", "bind"]}],
            },
        },
        {"name": "hooked", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/bin/true"}]}},
    ],
}


def asking(*names: str) -> Extras:
    return Extras(cdi_devices=tuple(CDIDevice(f"example.com/gpu={name}") for name in names))


def test_a_name_becomes_what_its_specification_says(tmp_path: Path) -> None:
    (tmp_path / "gpu.json").write_text(json.dumps(SPEC))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.txt").write_text("")
    found = cdi.resolved(asking("a"), cdi.read([tmp_path, tmp_path / "none"], tmp_path))
    assert found == Extras(
        {"DRIVER": "1", "GPU": "a=b"},
        (Mount("/gpu", "/lib/gpu", readonly=True),),
        (Device("/dev/gpu", "/dev/null", "rwm"), Device("/dev/zero", "/dev/zero", "r")),
    )


def test_a_device_told_by_its_numbers_is_made(tmp_path: Path) -> None:
    node = {"path": "/tmp/none", "type": "p", "permissions": "r"}
    spec = {"kind": "example.com/gpu", "devices": [{"name": "a", "containerEdits": {"deviceNodes": [node]}}]}
    (tmp_path / "gpu.json").write_text(json.dumps(spec))
    for _ in range(2):
        (device,) = cdi.resolved(asking("a"), cdi.read([tmp_path], tmp_path / "made")).devices
    assert (device.container_path, device.permissions) == ("/tmp/none", "r")
    made = Path(device.host_path).stat()
    assert stat.S_ISFIFO(made.st_mode)
    assert stat.S_IMODE(made.st_mode) == 0o666


def test_the_later_directory_counts(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        spec = {"kind": "example.com/gpu", "devices": [{"name": "a", "containerEdits": {"env": [f"FROM={name}"]}}]}
        (tmp_path / name / "gpu.yaml").write_text(json.dumps(spec))
    found = cdi.resolved(asking("a"), cdi.read([tmp_path / "first", tmp_path / "second"], tmp_path))
    assert found.environment == {"FROM": "second"}


def test_hooks_are_for_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "gpu.json").write_text(json.dumps(SPEC))
    assert cdi.resolved(asking("hooked"), cdi.read([tmp_path], tmp_path)) == asking("hooked")


def test_a_name_that_means_nothing_is_not_given() -> None:
    with pytest.raises(CannotProvide, match="unresolvable CDI devices"):
        cdi.resolved(asking("a"), {})


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("containerd", "1.6.20~ds1", False),
        ("containerd", "v1.7.2", False),
        ("containerd", "v2.0.0", True),
        ("cri-o", "1.30", True),
    ],
)
def test_who_knows_names(name: str, version: str, *, expected: bool) -> None:
    assert cdi.looks_up(Version(runtime_name=name, runtime_version=version)) is expected
