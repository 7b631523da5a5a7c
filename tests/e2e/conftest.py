from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster

_NEEDED = ("containerd", "runc", "nft", "kubectl", "nsenter", "curl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What this machine cannot run says so by name; nothing is left out in silence."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    why = f"needs {', '.join(missing)}" if missing else "" if os.geteuid() == 0 else "needs root"
    for item in items:
        if why and "tests/e2e" in str(item.path):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes, Ready."""
    directory: Path = tmp_path_factory.mktemp("cluster")
    with Cluster(directory, nodes=2) as running:
        yield running


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failure shows what the nodes logged."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    running = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and running is not None:
        report.sections.append(("nodes", "\n".join(running.logs())))
