"""Creates of many kinds, good and bad, are answered as kube-apiserver answers them.

`golden/answers.jsonl` has a request a line. What it `made` (without what differs from run to run), or the reason, field
and message of each cause it was `refused` for, was told by kube-apiserver v1.36.2 with its default flags, asked with
`dryRun=All`. Left out are expressions, which are not compiled on writing yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from pylet.api.errors import Invalid
from pylet.api.object import Object
from tests.server.kit import Api, kind_of

_VOLATILE = ("uid", "creationTimestamp", "resourceVersion", "managedFields", "finalizers")
_LINES = [orjson.loads(line) for line in (Path(__file__).parent / "golden/answers.jsonl").read_text().splitlines()]
_KINDS = sorted({line["send"]["kind"] for line in _LINES})


@pytest.mark.parametrize("kind", _KINDS)
async def test_bodies_are_answered_as_upstream_does(api: Api, kind: str) -> None:
    await api.namespace("default")
    for line in _LINES:
        if line["send"]["kind"] == kind:
            wanted = {name: line[name] for name in ("made", "refused") if name in line}
            assert await _answer(api, line["send"]) == wanted, line["send"]


async def _answer(api: Api, body: Object) -> dict[str, Any]:
    try:
        made = kind_of(body).from_stored(await api.create(body, dry_run=True))
    except Invalid as refused:
        causes = refused.status()["details"]["causes"]
        return {"refused": sorted([cause["reason"], cause.get("field", ""), cause["message"]] for cause in causes)}
    for name in _VOLATILE:
        made["metadata"].pop(name, None)
    for condition in (made.get("status") or {}).get("conditions") or ():
        condition.pop("lastTransitionTime", None)
    return {"made": made}
