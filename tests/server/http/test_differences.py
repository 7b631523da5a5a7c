"""Refused updates tell what would change as kube-apiserver does, in Go's own names.

`golden/differences.jsonl` has an object a line, in the namespace `t`, and patches of it (of its subresource), with the
messages that kube-apiserver v1.36.2 refused them with.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pylet.api.object import Object
from tests.server.conftest import Cluster

_LINES = [orjson.loads(line) for line in (Path(__file__).parent / "golden/differences.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("line", _LINES, ids=lambda line: line["object"]["metadata"]["name"])
async def test_differences_are_upstream_s(cluster: Cluster, line: Object) -> None:
    await cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "t"}})
    await cluster.ask("POST", "/api/v1/namespaces/t/serviceaccounts", {"metadata": {"name": "default"}})
    made = await cluster.ask("POST", line["path"], line["object"])
    assert made.status == 201, made.body
    for patch in line["patches"]:
        path = f"{line['path']}/{line['object']['metadata']['name']}{patch.get('subresource', '')}"
        given = await cluster.ask("PATCH", f"{path}?dryRun=All", patch["body"], Content_Type=patch["type"])
        assert (given.status, given.json["message"]) == (422, patch["message"])
