"""The server's admin kubeconfig, as a file for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def kubeconfig(cluster: Any, tmp_path: Path) -> Path:
    return tmp_path / "admin.yaml"
