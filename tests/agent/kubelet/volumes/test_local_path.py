"""Directories of the local-path provisioner go with their volumes, and nothing else ever does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.volumes.local_path import LocalPath, directory_of, is_due
from pylet.api.kinds.persistentvolume import KIND as PERSISTENT_VOLUME
from pylet.api.object import Key, Object
from tests.agent.kubelet.volumes.kit import Api
from tests.waiting import until


def volume(path: Path = Path("/data/pv_default_claim"), *, node: str = "n1", **changes: Any) -> Object:
    annotations = {"pv.kubernetes.io/provisioned-by": "pylet.io/local-path", "pylet.io/node": node}
    meta = {"name": "pv", "annotations": annotations, "finalizers": ["pylet.io/local-path"]}
    return {
        "metadata": {**meta, "deletionTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {"hostPath": {"path": str(path)}, "persistentVolumeReclaimPolicy": "Delete"},
        "status": {"phase": "Released"},
        **changes,
    }


@pytest.mark.parametrize(
    ("found", "due"),
    [
        pytest.param(volume(), True, id="released and being deleted"),
        pytest.param(volume(node="n2"), False, id="another node's"),
        pytest.param(volume(status={"phase": "Bound"}), False, id="still bound"),
        pytest.param(volume(metadata={"name": "pv"}), False, id="not the provisioner's"),
    ],
)
def test_when_a_directory_goes(found: Object, due: bool) -> None:
    assert is_due(found, "n1") is due


@pytest.mark.parametrize("path", ["/etc", "/data/other_default_claim", "/data/../etc/pv_default_claim"])
def test_a_path_the_provisioner_never_made_is_not_removed(path: str) -> None:
    with pytest.raises(OSError, match="not a directory of the local-path provisioner"):
        directory_of(volume(Path(path)))


async def test_the_directory_goes_and_then_the_finalizer(tmp_path: Path) -> None:
    directory = tmp_path / "pv_default_claim"
    (directory / "deep").mkdir(parents=True)
    api = Api()
    task = asyncio.create_task(LocalPath(api, api, "n1").run())  # type: ignore[arg-type]
    try:
        await asyncio.sleep(0)
        api.put(PERSISTENT_VOLUME, volume(directory))
        await until(lambda: not api.tables[PERSISTENT_VOLUME].entries[Key("", "pv")].object["metadata"]["finalizers"])
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not directory.exists()
