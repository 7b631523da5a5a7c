"""What webhooks answer, and what kube-apiserver makes of it: `golden/webhook_answers.jsonl`.

A line is what one webhook of a configuration of that `kind` answers (`status`, `type`, `text`, with `{uid}` where it
repeats the request's) to the create, as a dry run, of a ConfigMap; then what kube-apiserver v1.36.2 told the client.
"""

from __future__ import annotations

from pathlib import Path

import orjson
from aiohttp import web

from tests.server.admission.dynamic.conftest import rule
from tests.server.admission.dynamic.test_over_https import CONFIG_MAPS, GROUP, Hook, cluster, hook
from tests.server.conftest import Cluster

__all__ = ["cluster", "hook"]
_LINES = [
    orjson.loads(line) for line in (Path(__file__).parent / "golden/webhook_answers.jsonl").read_text().splitlines()
]


async def test_answers_are_taken_as_upstream_takes_them(cluster: Cluster, hook: Hook) -> None:
    wrong: list[str] = []
    for kind in ("Validating", "Mutating"):
        body = hook.configuration(f"{kind}WebhookConfiguration", rule("configmaps", operations=["CREATE"]))
        configurations = f"{GROUP}/{kind.lower()}webhookconfigurations"
        assert (await cluster.ask("POST", configurations, body)).status == 201
        for line in (line for line in _LINES if line["kind"] == kind):
            hook.says = lambda uid, line=line: web.Response(
                status=line["status"], content_type=line["type"], body=line["text"].replace("{uid}", uid).encode()
            )
            given = await cluster.ask(
                "POST", f"{CONFIG_MAPS}?dryRun=All", {"metadata": {"name": "c"}, "data": {"x": "y"}}
            )
            told = {"code": given.status}
            if given.status >= 400:
                told["message"] = given.json["message"].replace(hook.asked[-1]["uid"], "{uid}")
                told |= {"reason": reason} if (reason := given.json.get("reason")) else {}
            else:
                shown = {"labels": given.json["metadata"].get("labels"), "data": given.json.get("data")}
                told["made"] = {name: value for name, value in shown.items() if value}
            if warnings := given.headers.getall("Warning", []):
                told["warnings"] = warnings
            expected = {name: line[name] for name in ("code", "message", "reason", "made", "warnings") if name in line}
            if told != expected:
                wrong.append(f"{kind} {line['case']}\n  {expected}\n  {told}")
        await cluster.ask("DELETE", f"{configurations}/one")
    assert not wrong, "\n".join(wrong)
