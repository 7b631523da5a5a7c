"""Which files a KubeletConfiguration is read from, and what is said of one that cannot be followed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pylet.agent.kubelet.config_files import load
from pylet.agent.kubelet.config_values import BadConfig
from pylet.agent.kubelet.eviction import DEFAULT_HARD
from pylet.agent.kubelet.kubelet_config import KubeletConfig
from pylet.api.object import Object

HEAD = {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1"}


def loaded(place: Path, base: Object | None, drop_ins: Mapping[str, Any]) -> KubeletConfig:
    """`drop_ins` by their paths: text, or what a configuration says."""
    file, folder = place / "kubelet.yaml", place / "conf.d"
    folder.mkdir(exist_ok=True)
    if base is not None:
        file.write_text(yaml.safe_dump(base))
    for name, said in drop_ins.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(said if isinstance(said, str) else yaml.safe_dump({**HEAD, **said}))
    return load(file if base is not None else None, folder)


@pytest.mark.parametrize(
    ("base", "drop_ins", "expected"),
    [
        pytest.param({"maxPods": 5}, {}, {"maxPods": 5}, id="an empty folder changes nothing"),
        pytest.param(None, {"a.conf": {"maxPods": 7}}, {"maxPods": 7}, id="a file need not be"),
        pytest.param(
            {"maxPods": 5, "podsPerCore": 2},
            {"20.conf": {"maxPods": 7}, "10.conf": {"maxPods": 6}},
            {"maxPods": 7, "podsPerCore": 2},
            id="the last one holds",
        ),
        pytest.param(
            {},
            {"30.conf": {"maxPods": 3}, "20-more/99.conf": {"maxPods": 2}, "10.conf": {"maxPods": 1}},
            {"maxPods": 3},
            id="a folder within is read in its place",
        ),
        pytest.param({"maxPods": 5}, {"a.yaml": {"maxPods": 7}, "b.conf~": "}"}, {"maxPods": 5}, id="no other names"),
        pytest.param(
            {"systemReserved": {"cpu": "1", "memory": "1Gi"}},
            {"a.conf": {"systemReserved": {"cpu": "2"}}},
            {"systemReserved": {"cpu": "2", "memory": "1Gi"}},
            id="maps are merged",
        ),
        pytest.param(
            {"allowedUnsafeSysctls": ["net.a", "net.b"]},
            {"a.conf": {"allowedUnsafeSysctls": ["net.c"]}},
            {"allowedUnsafeSysctls": ["net.c"]},
            id="lists are replaced",
        ),
        pytest.param({"maxPods": 5}, {"a.conf": {"maxPods": None}}, {"maxPods": None}, id="null takes away"),
        pytest.param(
            {},
            {"a.conf": {"evictionHard": {"memory.available": "1Gi"}}},
            {"evictionHard": {**DEFAULT_HARD, "memory.available": "1Gi"}},
            id="of thresholds the others stay",
        ),
        pytest.param(
            {"evictionHard": {"nodefs.available": "3%"}},
            {"a.conf": {"evictionHard": {"memory.available": "1Gi"}}},
            {"evictionHard": {"nodefs.available": "3%", "memory.available": "1Gi"}},
            id="as far as there were any",
        ),
        pytest.param(
            {},
            {
                "10.conf": {"shutdownGracePeriodCriticalPods": "10s"},
                "20.conf": {"shutdownGracePeriod": "30s"},
            },
            {"shutdownGracePeriod": "30s", "shutdownGracePeriodCriticalPods": "10s"},
            id="fields that belong together may be said apart",
        ),
    ],
)
def test_what_is_said(tmp_path: Path, base: Object | None, drop_ins: Mapping[str, Any], expected: Object) -> None:
    said = loaded(tmp_path, base, drop_ins).said
    assert {name: said.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("drop_ins", "why"),
    [
        pytest.param({"a.conf": {"maxPods": "many"}}, "a.conf: maxPods: 'many' is not a whole number", id="bad value"),
        pytest.param({"a.conf": {"maxPod": 1}}, 'a.conf: unknown field "maxPod"', id="unknown field"),
        pytest.param({"a.conf": "maxPods: 1"}, "a.conf: no apiVersion/kind", id="without a kind"),
        pytest.param({"a.conf": ""}, "a.conf: no apiVersion/kind", id="empty"),
        pytest.param({"a.conf": "- 1"}, "a.conf: .* is no KubeletConfiguration", id="no map"),
        pytest.param({"a.conf": "{"}, "a.conf: while parsing", id="no YAML"),
        pytest.param({"a.conf": {"kind": "Pod"}}, "a.conf: kind 'Pod'", id="another kind"),
        pytest.param({"a.conf": {"imageGCLowThresholdPercent": 90}}, "conf.d: imageGCLow", id="not with the others"),
    ],
)
def test_what_cannot_be_followed_is_told_with_its_file(tmp_path: Path, drop_ins: Mapping[str, Any], why: str) -> None:
    with pytest.raises(BadConfig, match=why):
        loaded(tmp_path, {}, drop_ins)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="none: No such file or directory"):
        load(None, tmp_path / "none")
