"""A kopf operator with webhooks: install, reconcile, upgrade the definition, remove."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pylet.server.pki import Pki
from tests.waiting import answered

PROGRAM = Path(__file__).parent / "operator_program.py"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/widgets.test/v1/namespaces/default/widgets"
MAP = "/api/v1/namespaces/default/configmaps/mine"


def definition(*more: str) -> dict[str, Any]:
    spec = {"type": "object", "properties": {"size": {"type": "integer"}}}
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": free}}}
    versions = [
        {"name": name, "served": True, "storage": name == "v1", "schema": schema, "subresources": {"status": {}}}
        for name in ("v1", *more)
    ]
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.widgets.test"},
        "spec": {"group": "widgets.test", "scope": "Namespaced", "names": names, "versions": versions},
    }


@pytest.fixture
async def operator(cluster: Any, kubeconfig: Path, tmp_path: Path) -> AsyncIterator[None]:
    assert (await cluster.ask("POST", DEFINITIONS, definition())).status == 201
    tls = Pki(tmp_path / "tls")
    tls.ensure(["127.0.0.1"], datetime.now(UTC))
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "OPERATOR_TLS": str(tls.directory)}
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace", "default", str(PROGRAM)]
    log = (tmp_path / "operator.log").open("w")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    hooks = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations/hooks.widgets.test"

    async def is_registered() -> bool:
        assert process.returncode is None, (tmp_path / "operator.log").read_text()
        found = [await cluster.ask("GET", hooks.format(what)) for what in ("mutating", "validating")]
        return all(each.json.get("webhooks") for each in found)

    try:
        await answered(is_registered, what="its webhooks are registered")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def test_an_operator_does_its_work(cluster: Any, operator: None) -> None:
    widget = {"apiVersion": "widgets.test/v1", "kind": "Widget", "metadata": {"name": "mine"}, "spec": {}}
    made = await cluster.ask("POST", WIDGETS, widget)
    assert (made.status, made.json.get("spec")) == (201, {"size": 3}), made.body

    async def size() -> str:
        return str((await cluster.ask("GET", MAP)).json.get("data", {}).get("size", ""))

    assert await answered(size, what="the ConfigMap is there") == "3"
    refused = await cluster.ask("POST", WIDGETS, {**widget, "metadata": {"name": "big"}, "spec": {"size": 99}})
    assert (refused.status, "too large" in refused.json["message"]) == (422, True), refused.body
    merge = {"Content_Type": "application/merge-patch+json"}
    patched = await cluster.ask("PATCH", f"{WIDGETS}/mine", {"spec": {"size": 10}}, **merge)
    assert "that is as large as it gets" in patched.headers["Warning"]

    async def is_ten() -> bool:
        return await size() == "10"

    await answered(is_ten, what="the ConfigMap follows")
    upgraded = await cluster.ask(
        "PATCH", f"{DEFINITIONS}/widgets.widgets.test", {"spec": definition("v2")["spec"]}, **merge
    )
    assert upgraded.status == 200, upgraded.body
    second = WIDGETS.replace("/v1/", "/v2/")

    async def in_second() -> Any:
        return (await cluster.ask("GET", f"{second}/mine")).json.get("spec")

    assert await answered(in_second, what="the second version is served") == {"size": 10}
    await cluster.ask("PATCH", f"{WIDGETS}/mine", {"spec": {"size": 4}}, **merge)

    async def is_four() -> bool:
        return await size() == "4"

    await answered(is_four, what="the operator watches on after the upgrade")
    await cluster.ask("DELETE", f"{WIDGETS}/mine")

    async def is_gone() -> bool:
        return (await cluster.ask("GET", f"{WIDGETS}/mine")).status == (await cluster.ask("GET", MAP)).status == 404

    await answered(is_gone, what="widget and ConfigMap are gone")
    await cluster.ask("DELETE", f"{DEFINITIONS}/widgets.widgets.test")

    async def is_removed() -> bool:
        return (await cluster.ask("GET", WIDGETS)).status == 404

    await answered(is_removed, what="the resource is gone")
