"""A server, and a way to run command lines against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pylet.cli import run
from tests.server.conftest import config, running_server

MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, labels: {app: web}}
data: {a: "1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]}
"""


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


Kubectl = Callable[..., Awaitable[Ended]]


def edit_with(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is edited is given to the script as $1."""
    editor = folder / "editor"
    editor.write_text(script)
    editor.chmod(0o755)
    monkeypatch.setenv("KUBE_EDITOR", str(editor))


@pytest.fixture
async def kubectl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Kubectl]:
    """Runs one command line, in a thread because the CLI blocks and the server is in this one."""
    async with running_server(config(tmp_path)):
        manifest = tmp_path / "m.yaml"
        manifest.write_text(MANIFEST)

        async def call(*words: str) -> Ended:
            arguments = ["kubectl", f"--kubeconfig={tmp_path / 'admin.yaml'}", *words]
            capsys.readouterr()
            status = await asyncio.to_thread(run, [word.replace("MANIFEST", str(manifest)) for word in arguments])
            captured = capsys.readouterr()
            return Ended(status, captured.out, captured.err)

        yield call
