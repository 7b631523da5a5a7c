"""Unmodified clients: Python's libraries, Helm's SDK and every kubectl there is, each in a process of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
KUBECTLS = sorted(
    {str(Path(found).resolve()) for found in (shutil.which("kubectl"), os.environ.get("KUBECTL")) if found}
)
MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: story}
data: {a: "1"}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: j, namespace: story}
spec:
  schedule: "@daily"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}}
"""


async def told(*command: str, stdin: str = "", **environment: str) -> str:
    """What a program prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    async with asyncio.timeout(180):
        output, _ = await process.communicate(stdin.encode())
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem.removeprefix("with_"))
async def test_a_client_library(kubeconfig: Path, program: Path) -> None:
    if program.stem == "with_helm" and not importlib.util.find_spec("helm_python"):
        pytest.skip("Helm's SDK has no package for this kind of machine")
    assert (await told(sys.executable, str(program), str(kubeconfig))).endswith("done\n")


@pytest.mark.parametrize("kubectl", KUBECTLS)
async def test_kubectl(kubeconfig: Path, kubectl: str) -> None:
    async def run(*arguments: str, stdin: str = "") -> str:
        return await told(
            kubectl, "--cache-dir", f"{kubeconfig}.cache", *arguments, stdin=stdin, KUBECONFIG=str(kubeconfig)
        )

    await run("create", "namespace", "story")
    assert "configmap/c created\ncronjob.batch/j created" in await run("apply", "-f", "-", stdin=MANIFEST)
    assert "unchanged" in await run("apply", "-f", "-", stdin=MANIFEST)
    assert "serverside-applied" in await run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=MANIFEST)
    assert "configmap/c configured" in await run("apply", "-f", "-", stdin=MANIFEST.replace('"1"', '"2"'))
    await run("-n", "story", "create", "deployment", "d", "--image=x", "--replicas=2")
    assert "deployment.apps/d scaled" in await run("-n", "story", "scale", "deploy/d", "--replicas=3")
    await run("-n", "story", "set", "image", "deploy/d", "x=y")
    assert "REVISION" in await run("-n", "story", "rollout", "history", "deploy/d")
    assert "FIELD: suspend <boolean>" in await run("explain", "cronjob.spec.suspend")
    assert "NAME" in await run("-n", "story", "get", "all,cm,cronjobs", "-o", "wide")
    assert await run("auth", "can-i", "create", "pods") == "yes\n"
    assert "Image:" in await run("-n", "story", "describe", "deploy", "d")
    assert await run("-n", "story", "get", "cm", "c", "-o", "jsonpath={.data.a}") == "2"
    await run("delete", "namespace", "story", "--timeout=60s")
