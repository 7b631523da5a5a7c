"""Where a node keeps its things."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylet.agent.config import AgentConfig


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({}, "/var/lib/kubelet"),
        ({"data_dir": Path("/srv/one")}, "/srv/one/kubelet"),
        ({"data_dir": Path("/srv/one"), "kubelet_dir": Path("/srv/two")}, "/srv/two"),
    ],
)
def test_csi_drivers_find_the_kubelet_unless_the_node_has_a_place_of_its_own(
    folders: dict[str, Path], expected: str
) -> None:
    assert AgentConfig(server="", node_name="n", **folders).kubelet_root == Path(expected)
