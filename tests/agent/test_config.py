"""Where a node keeps its things."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

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
    folders: dict[str, Any], expected: str
) -> None:
    config = dataclasses.replace(AgentConfig(server=(), node_name="n"), **folders)
    assert config.kubelet_root == Path(expected)
