"""Whatever is sent, the answer is a Status below 500, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from pylet.api import kinds

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
_MOST_STALL_SECONDS = 1.0  # 0.1 on an idle machine: the test and its machine are slow themselves


def deep(depth: int) -> bytes:
    return b'{"metadata":{"name":"x"},"data":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


LAUGHS = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%b]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)
)
BODIES = {
    "nothing": b"",
    "null": b"null",
    "a number": b"7",
    "a text": b'"x"',
    "a list": b"[]",
    "cut off": b'{"metadata":{"name":"x"',
    "not UTF-8": b'{"metadata":{"name":"\xff\xfe"}}',
    "NUL": b'{"metadata":{"name":"a\\u0000b"}}',
    "a lone surrogate": b'{"metadata":{"name":"x"},"data":{"a":"\\ud800"}}',
    "NaN": b'{"metadata":{"name":"x"},"data":{"a":NaN}}',
    "a huge number": b'{"metadata":{"name":"x","generation":' + b"9" * 5000 + b"}}",
    "rather deep": deep(245),
    "as deep as may be": deep(235),
    "deep": deep(5_000),
    "deeper": deep(200_000),
    "deep lists": b"[" * 500_000,
    "twice": b'{"metadata":{"name":"x"},"metadata":{"name":"y"}}',
    "wrong types": b'{"metadata":[1],"data":"x"}',
    "metadata of numbers": b'{"metadata":{"name":7,"labels":{"a":1},"finalizers":{"a":1},"ownerReferences":"x"}}',
    "another kind": b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}',
    "an unknown kind": b'{"apiVersion":"x/y/z","kind":"","metadata":{"name":"x"}}',
    "a long name": b'{"metadata":{"name":"' + b"x" * 100_000 + b'"}}',
    "a large annotation": b'{"metadata":{"name":"x","annotations":{"a":"' + b"x" * (1 << 20) + b'"}}}',
    "too large": b'{"metadata":{"name":"x"},"data":{"a":"' + b"x" * (4 << 20) + b'"}}',
    "many keys": b'{"metadata":{"name":"x"},"data":{' + b",".join(b'"k%d":""' % n for n in range(100_000)) + b"}}",
    "many values": b'{"metadata":{"name":"x"},"spec":{"containers":[' + b"{}," * 80_000 + b"{}]}}",
    "wrong all over": b'{"metadata":{"name":"x"},"spec":{"containers":[' + b"{}," * 9_000 + b"{}]}}",
    "one controller too many": b'{"metadata":{"name":"x","ownerReferences":['
    + b",".join(b'{"apiVersion":"v1","kind":"Pod","name":"x","controller":true,"uid":"%d"}' % n for n in range(2_000))
    + b"]}}",
    "a name of many labels": b'{"metadata":{"name":"' + b"x." * 400_000 + b'"}}',
    "billion laughs": LAUGHS,
    "YAML of many numbers": b"metadata: {name: x}\nfoo: [" + b"1.5," * 9_000 + b"]",
    "a YAML number of many parts": b"metadata: {name: x}\nfoo: 1" + b":1" * 400_000,
    "a YAML tag": b"!!python/object/apply:os.system ['true']",
    "YAML cycles": b"&a [*a]",
    "broken protobuf": b"k8s\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "protobuf of nothing": b"k8s\x00",
    "protobuf of many envelopes": b"k8s\x00" + b"\x0a\x00" * 1_500_000,
}
PATCHES = {
    "many operations": orjson.dumps([{"op": "add", "path": "/data/a", "value": "1"}] * 20_000),
    "copies that double": orjson.dumps(
        [{"op": "add", "path": "/data", "value": {"a": "x" * 1000}}]
        + [{"op": "copy", "from": "/data", "path": f"/data/b{n}"} for n in range(40)]
    ),
    "odd pointers": orjson.dumps([{"op": "replace", "path": path, "value": 1} for path in ("x", "/~2", "//")]),
    "no operation": orjson.dumps([{"op": "sing", "path": "/a"}]),
    "directives": orjson.dumps({"$patch": "x", "data": {"$patch": "y", "$retainKeys": 1}, "$setElementOrder/x": 2}),
    "deep": deep(50_000),
    "rather deep": deep(245),
    "as deep as may be": deep(235),
    "null": b"null",
    "managed": orjson.dumps({"metadata": {"managedFields": [{"fieldsV1": {"f:": {"k:{": {}}}, "manager": "x"}]}}),
}
QUERIES = [
    "labelSelector=" + quote("a in (b"),
    "labelSelector=" + quote("a" * 100_000),
    "labelSelector=" + quote("(" * 5000),
    "fieldSelector=" + quote("a=b,=,=="),
    "fieldSelector=" + quote("spec.unknown=1"),
    "limit=-1",
    "limit=" + "9" * 400,
    "limit=x",
    "continue=x",
    "continue=" + base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":-5,"start":7}').decode(),
    "continue=" + base64.urlsafe_b64encode(deep(20_000)).decode(),
    "resourceVersion=x",
    "resourceVersion=" + "9" * 40,
    "resourceVersionMatch=Maybe&resourceVersion=1",
    "timeoutSeconds=x",
    "watch=1&resourceVersion=abc",
    "watch=1&timeoutSeconds=1&resourceVersion=1",
    "sendInitialEvents=true",
    "pretty=%FF%FE",
    "dryRun=Some",
    "fieldValidation=Perhaps",
    "%00=%00",
]


class Stalls:
    """The longest the loop kept others waiting, in time of its own: others on this machine do not count."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def __aenter__(self) -> Stalls:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _tick(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.005)
            self.longest = max(self.longest, time.thread_time() - before)


class Answers:
    """Sends, and notes what was answered badly; nobody else may have been kept waiting."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._bad: list[str] = []
        self._stalls = Stalls()

    async def __aenter__(self) -> Answers:
        await self._stalls.__aenter__()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self._stalls.__aexit__()
        if kind is None:
            assert not self._bad, "\n".join(self._bad)
            assert self._stalls.longest < _MOST_STALL_SECONDS

    async def ask(self, what: str, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        async with asyncio.timeout(60):
            answer = await self._cluster.ask(method, path, body, **headers)
        is_told = answer.status < 400 or answer.status == 413 or answer.body.startswith((b'{"kind":"Status"', b"k8s\0"))
        if answer.status >= 500 or not is_told:
            self._bad.append(f"{method} {path[:80]} {what}: {answer.status} {answer.body[:200]!r}")


@pytest.mark.parametrize("media", [JSON, YAML, PROTOBUF])
async def test_bodies(cluster: Any, media: str) -> None:
    async with Answers(cluster) as answers:
        for what, body in BODIES.items():
            for path in (MAPS, PODS):
                await answers.ask(what, "POST", f"{path}?dryRun=All", body, Content_Type=media)
            await answers.ask(what, "DELETE", f"{MAPS}/none", body, Content_Type=media)


@pytest.mark.parametrize("media", [MERGE, JSON_PATCH, STRATEGIC, APPLY])
async def test_patches(cluster: Any, media: str) -> None:
    await cluster.ask("POST", MAPS, {"metadata": {"name": "x"}, "data": {"a": "1"}})
    async with Answers(cluster) as answers:
        for what, body in {**BODIES, **PATCHES}.items():
            await answers.ask(what, "PATCH", f"{MAPS}/x?fieldManager=m&force=true", body, Content_Type=media)


async def test_queries(cluster: Any) -> None:
    async with Answers(cluster) as answers:
        for query in QUERIES:
            await answers.ask("", "GET", f"{MAPS}?{query}")
            await answers.ask("", "DELETE", f"{MAPS}?{query}&labelSelector=none%3Dsuch")


NAMES = ("metadata", "spec", "status", "name", "template", "selector", "rules", "ports", "type", "subjects", "data")
VALUES: list[Any] = [None, 0, -1, 1e300, "", "x", "../..", [], {}, [None], {"": None}, [[]], True, {"a": {"b": [1]}}]


def nonsense(chance: random.Random, depth: int = 0) -> Any:
    if depth > 3 or chance.random() < 0.4:
        return chance.choice(VALUES)
    if chance.random() < 0.3:
        return [nonsense(chance, depth + 1) for _ in range(2)]
    return {name: nonsense(chance, depth + 1) for name in chance.sample(NAMES, 4)}


async def test_every_kind_answers_nonsense(cluster: Any) -> None:
    """Small objects with values of the wrong type everywhere, to every resource and verb."""
    chance = random.Random(5)
    async with Answers(cluster) as answers:
        for kind in kinds.all_kinds():
            root = f"/api/{kind.version}" if not kind.group else f"/apis/{kind.group}/{kind.version}"
            path = f"{root}/namespaces/default/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
            for number in range(12):
                body = {name: nonsense(chance) for name in ("spec", "status", "data", "rules")}
                body["metadata"] = nonsense(chance) if number % 4 == 0 else {"name": f"n{number}"}
                verb, where = (("POST", path), ("PUT", f"{path}/n{number}"), ("PATCH", f"{path}/n{number}"))[number % 3]
                media = MERGE if verb == "PATCH" else JSON
                await answers.ask(f"{body}", verb, f"{where}?dryRun=All", orjson.dumps(body), Content_Type=media)
