"""Which mount points are made inside a volume."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.volumes.nested import nested_mount_points


@pytest.mark.parametrize(
    ("mounts", "made"),
    [
        pytest.param({"v": "/dir", "other": "/elsewhere"}, [], id="nothing is inside"),
        pytest.param({"v": "/dir", "other": "/dir/nested"}, ["nested"], id="one is inside"),
        pytest.param({"v": "/dir", "a": "/dir/n", "b": "/dir/n/deep"}, ["n"], id="what is inside of that is not ours"),
        pytest.param({"v": "/dir", "a": "/dir/n", "b": "/dir/n2"}, ["n", "n2"], id="names may begin alike"),
        pytest.param({"v": "/dir", "a": "/dirt/n"}, [], id="directories may begin alike"),
    ],
)
def test_mount_points_inside_a_volume(mounts: dict[str, str], made: list[str]) -> None:
    uses = [{"name": name, "mountPath": path} for name, path in mounts.items()]
    assert nested_mount_points("v", {"spec": {"containers": [{"name": "c", "volumeMounts": uses}]}}) == made
