"""What upstream answers, asked of pylet: the answers in `golden/answers.json`.

They are those of kube-apiserver v1.36.2 with etcd and NodeRestriction, and without controllers: a ServiceAccount
`default` was made in each namespace, and each quota got a status that says its `hard` and uses nothing. `{ns}` stands
for the namespace, `type` for the sort of a patch, `user` for who is impersonated. Steps without `code` only prepare
others: their answers differ for reasons of the set-up (names made up, uids) or are known to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from pylet.api.object import Object
from tests.server.conftest import Answered, Cluster

CASES: list[Object] = orjson.loads((Path(__file__).parent / "golden" / "answers.json").read_bytes())
TYPES = {"merge": "application/merge-patch+json", "strategic": "application/strategic-merge-patch+json"}


async def test_answers_are_upstream_s(cluster: Cluster) -> None:
    wrong: list[str] = []
    for number, case in enumerate(CASES):
        namespace = f"golden-{number}"
        await cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        for step in case["steps"]:
            given = await ask(cluster, step, namespace)
            if "code" in step and (answer := told(given, namespace)) != expected(step):
                wrong.append(f"{case['case']} {step['path']}\n  {expected(step)}\n  {answer}")
    assert not wrong, "\n".join(wrong)


async def ask(cluster: Cluster, step: Object, namespace: str) -> Answered:
    body = orjson.dumps(step["body"]).replace(b"{ns}", namespace.encode()) if "body" in step else None
    headers: dict[str, Any] = {name.replace("-", "_"): value for name, value in step.get("user", {}).items()}
    headers["Content_Type"] = TYPES.get(step.get("type", ""), "application/json")
    return await cluster.ask(step["method"], step["path"].replace("{ns}", namespace), body, **headers)


def told(given: Answered, namespace: str) -> Object:
    message = given.json["message"].replace(namespace, "{ns}") if given.status >= 400 else ""
    warnings = [text.replace(namespace, "{ns}") for text in given.headers.getall("Warning", [])]
    return {"code": given.status, "message": message, "warnings": warnings}


def expected(step: Object) -> Object:
    return {"code": step["code"], "message": step.get("message", ""), "warnings": step.get("warnings", [])}
