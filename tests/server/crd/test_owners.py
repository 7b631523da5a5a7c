"""Owners of a custom resource's fields that write through different versions, which a webhook converts.

`golden/owners.jsonl` has a step a line. A request comes with what kube-apiserver v1.36.2 told (with etcd, asked by a
member of system:masters, User-Agent "tester/1", the webhook being `convert` below): code and message, or the owners and
the spec. Other steps change the definition's versions, of which the last is new and tells when the change is there, or
what the webhook does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson

from pylet.api.object import Object
from tests.server.conftest import Answered, Cluster
from tests.server.crd.test_custom_resources import DEFINITIONS, conversion, define, definition, webhook
from tests.waiting import answered

_GOLDEN = Path(__file__).parent / "golden"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


def convert(request: Object, mood: str) -> Object:
    """v1 has spec.{size,color,tags}, v2 spec.{dim.size,paint,tags}, v3 spec.{all.{size,color},items[].name}."""
    if mood == "fail":
        return {"result": {"status": "Failure", "message": "no way"}}
    wanted = request["desiredAPIVersion"]
    objects = []
    for obj in request["objects"]:
        size, color, tags = _read(obj["apiVersion"][-2:], obj.get("spec") or {})
        spec = {"odd": 1} if mood == "odd" else {}
        spec |= _written(wanted[-2:], size, color, tags)
        objects.append({**obj, "apiVersion": wanted, **({"spec": spec} if "spec" in obj else {})})
    return {"result": {"status": "Success"}, "convertedObjects": objects}


def _read(version: str, spec: Object) -> tuple[Any, Any, Any]:
    match version:
        case "v1":
            return spec.get("size"), spec.get("color"), spec.get("tags")
        case "v2":
            return spec.get("dim", {}).get("size"), spec.get("paint"), spec.get("tags")
    both = spec.get("all", {})
    return both.get("size"), both.get("color"), [one["name"] for one in spec["items"]] if "items" in spec else None


def _written(version: str, size: Any, color: Any, tags: Any) -> Object:
    match version:
        case "v1":
            spec = {"size": size, "color": color, "tags": tags}
        case "v2":
            spec = {"dim": size and {"size": size}, "paint": color, "tags": tags}
        case _:
            both = {name: value for name, value in (("size", size), ("color", color)) if value is not None}
            spec = {"all": both or None, "items": None if tags is None else [{"name": tag} for tag in tags]}
    return {name: value for name, value in spec.items() if value is not None}


def told(given: Answered) -> Object:
    answer = given.json
    if given.status >= 300:
        return {"code": given.status, "message": answer["message"]}
    owners = [
        [entry["manager"], entry["operation"], entry["apiVersion"], entry["fieldsV1"]]
        for entry in answer["metadata"].get("managedFields", [])
    ]  # which were written within one second, so that their order says nothing
    return {"code": given.status, "owners": sorted(owners, key=json.dumps), "spec": answer.get("spec")}


async def request(cluster: Cluster, step: Object) -> Answered:
    version, name, body = step["version"], step["name"], step.get("body")
    path = f"/apis/example.com/{version}/namespaces/default/widgets"
    if step["do"] == "create":
        return await cluster.ask("POST", path, body, User_Agent="tester/1")
    query = f"?fieldManager={step['manager']}" + ("&force=true" if step.get("force") else "")
    if step["do"] == "merge":
        return await cluster.ask("PATCH", f"{path}/{name}{query}", body, Content_Type=_MERGE)
    config = {"apiVersion": f"example.com/{version}", "kind": "Widget", "metadata": {"name": name}, "spec": body}
    return await cluster.ask("PATCH", f"{path}/{name}{query}", config, Content_Type=_APPLY)


async def redefine(cluster: Cluster, versions: list[Object]) -> None:
    path = f"{DEFINITIONS}/widgets.example.com"
    crd = (await cluster.ask("GET", path)).json
    crd["spec"]["versions"] = versions
    put = await cluster.ask("PUT", path, crd)
    assert put.status == 200, put.body
    listing = f"/apis/example.com/{versions[-1]['name']}/namespaces/default/widgets"
    await answered(lambda: cluster.ask("GET", listing), lambda answer: answer.status == 200)


async def test_owners_are_upstream_s(cluster: Cluster) -> None:
    steps = [orjson.loads(line) for line in (_GOLDEN / "owners.jsonl").read_text().splitlines()]
    pki, mood = cluster.running.pki, ["ok"]
    wrong = []
    async with webhook(pki, lambda asked: convert(asked, mood[0])) as url:
        await define(cluster, definition(*steps[0]["versions"], conversion=conversion(url, pki.ca.certificate)))
        for at, step in enumerate(steps[1:], start=2):
            if "versions" in step:
                await redefine(cluster, step["versions"])
            elif "webhook" in step:
                mood[0] = step["webhook"]
            elif (seen := told(await request(cluster, step))) != step["told"]:
                wrong.append(f"line {at}\n  {step['told']}\n  {seen}")
    assert not wrong, "\n".join(wrong)


async def test_a_webhook_converts_nothing_twice_for_one_write(cluster: Cluster) -> None:
    versions = orjson.loads((_GOLDEN / "owners.jsonl").read_text().partition("\n")[0])["versions"]
    pki, asked = cluster.running.pki, list[str]()

    def answers(asking: Object) -> Object:
        for obj in asking["objects"]:
            if "managedFields" not in obj["metadata"]:  # which the caches of other versions ask for, too
                asked.append(f"{json.dumps(obj['spec'], sort_keys=True)} in {asking['desiredAPIVersion'][-2:]}")
        return convert(asking, "ok")

    async with webhook(pki, answers) as url:
        await define(cluster, definition(*versions, conversion=conversion(url, pki.ca.certificate)))
        one = {"do": "apply", "version": "v1", "name": "a", "manager": "one"}
        await request(cluster, {**one, "body": {"size": 1, "color": "red", "tags": ["a"]}})
        for manager in ("two", "three", "four"):
            again = await request(cluster, {**one, "manager": manager, "version": "v2", "body": {"paint": "red"}})
            assert again.status == 200
        asked.clear()
        assert (await request(cluster, {**one, "body": {"size": 1}})).status == 200
    assert asked == [
        '{"color": "red", "size": 1, "tags": ["a"]} in v2',  # as it was
        '{"size": 1} in v2',  # without what the owner gives up
        '{"dim": {"size": 1}, "paint": "red"} in v1',  # with what others own
        '{"color": "red", "size": 1} in v2',  # as it is
    ]
