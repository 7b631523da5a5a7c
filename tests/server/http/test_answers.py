"""Requests over HTTP, good and bad, are answered as kube-apiserver answers them.

`golden/answers.jsonl` has a request a line, and what kube-apiserver v1.36.2 (with etcd, without controllers, asked by a
member of system:masters) answered: code, reason, message, causes and warnings. Before them there were the objects of
`golden/objects.json`, all in the namespace `t`. Nothing in the list changes any: what writes is refused or a dry run.
Messages are cut. Left out is where pylet differs and means to: 400 and 409 where upstream ends in a 500, how Go prints
a struct.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson

from pylet.api.object import Object
from tests.server.conftest import Answered, Cluster

_GOLDEN = Path(__file__).parent / "golden"
_AGENT = "kubectl/v1.36.2"
_MOST = 120  # characters of a message: some quote whole grammars
_CHANGING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|system:admin|\b\d{2,}\b"
)


async def test_answers_are_upstream_s(cluster: Cluster) -> None:
    for path, obj in orjson.loads((_GOLDEN / "objects.json").read_bytes()):
        while (made := await cluster.ask("POST", path, obj, User_Agent=_AGENT)).status == 404:
            pass  # a custom resource is served when its definition is established
        assert made.status in (201, 409), made.body
    wrong: list[str] = []
    for line in (_GOLDEN / "answers.jsonl").read_text().splitlines():
        case = orjson.loads(line)
        told = _told(await _ask(cluster, case))
        if told != case["told"]:
            wrong.append(f"{case['method']} {case['path']} {case.get('body', '')}\n  {case['told']}\n  {told}")
    assert not wrong, "\n".join(wrong)


async def _ask(cluster: Cluster, case: Object) -> Answered:
    headers: dict[str, Any] = {name.replace("-", "_"): value for name, value in case.get("headers", {}).items()}
    body = case["text"] if "text" in case else json.dumps(case["body"]) if "body" in case else None
    sent = None if body is None else body.encode()
    return await cluster.ask(case["method"], case["path"], sent, User_Agent=_AGENT, **headers)


def _told(given: Answered) -> Object:
    told: Object = {}
    if given.status >= 400 and given.headers.get("Content-Type") == "application/json" and given.body:
        status = given.json
        details = status.get("details") or {}
        causes = [
            [cause["reason"], cause.get("field", ""), cause["message"][:_MOST]] for cause in details.get("causes") or ()
        ]
        told |= {name: status[name][:_MOST] for name in ("reason", "message") if name in status}
        if causes:  # upstream tells some of them twice, and in the order of a hash
            told["causes"] = sorted(cause for n, cause in enumerate(causes) if cause not in causes[:n])
            del told["message"]
    if warnings := sorted(given.headers.getall("Warning", [])):
        told["warnings"] = warnings
    changing: Object = orjson.loads(_CHANGING.sub("#", orjson.dumps(told).decode()))
    return {"code": given.status} | changing
