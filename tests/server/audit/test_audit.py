"""The audit log: what a policy decides, what an event says and does not say, and the file."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from pylet.api.object import Object
from pylet.api.wire import decode, protobuf
from pylet.server.audit import RECORD
from pylet.server.audit.auditor import Auditor, _may_tell
from pylet.server.audit.log import AuditLog, Rotation
from pylet.server.audit.policy import Level, Policy
from pylet.server.audit.record import REDACTED, Record, redacted
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.config import ServerConfig
from pylet.server.registry import User
from tests.server.conftest import Cluster, running_server, session
from tests.waiting import answered

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BOB = User("bob", ("dev", "system:authenticated"))
BOT = "system:serviceaccount:default:bot"
PODS = Attributes(BOB, "create", version="v1", resource="pods", namespace="a", name="p")
EXEC = Attributes(BOB, "create", version="v1", resource="pods", subresource="exec", namespace="a", name="p")
NODES = Attributes(BOB, "list", version="v1", resource="nodes")
HEALTH = Attributes(BOB, "get", path="/healthz/ping")


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    return Policy({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more})


def rule(level: str = "Request", **terms: Any) -> dict[str, Any]:
    return {"level": level, **terms}


def resources(*names: str, group: str = "", **more: Any) -> dict[str, Any]:
    return rule(resources=[{"group": group, "resources": list(names), **more}])


@pytest.mark.parametrize(
    ("terms", "asked", "matches"),
    [
        (rule(), PODS, True),
        (rule(users=["bob"]), PODS, True),
        (rule(users=["eve"]), PODS, False),
        (rule(userGroups=["dev"]), PODS, True),
        (rule(userGroups=["ops"]), PODS, False),
        (rule(verbs=["create"]), PODS, True),
        (rule(verbs=["get"]), PODS, False),
        (rule(namespaces=["a"]), PODS, True),
        (rule(namespaces=["a"]), NODES, False),
        (rule(namespaces=[""]), NODES, True),
        (rule(namespaces=["a"]), HEALTH, False),
        (resources("pods"), PODS, True),
        (resources("pods"), EXEC, False),
        (resources("pods/exec"), EXEC, True),
        (resources("pods/*"), EXEC, True),
        (resources("*/exec"), EXEC, True),
        (resources("*"), EXEC, True),
        (resources("pods", group="apps"), PODS, False),
        (resources("pods", group="*"), PODS, True),
        (resources("pods", resourceNames=["p"]), PODS, True),
        (resources("pods", resourceNames=["q"]), PODS, False),
        (resources(), PODS, True),
        (rule(nonResourceURLs=["/healthz*"]), HEALTH, True),
        (rule(nonResourceURLs=["/healthz"]), HEALTH, False),
        (rule(nonResourceURLs=["*"]), PODS, False),
    ],
)
def test_a_rule_matches(terms: dict[str, Any], asked: Attributes, matches: bool) -> None:
    assert policy(terms).decide(asked).level is (Level.REQUEST if matches else Level.NONE)


def test_the_first_matching_rule_decides_and_omits_what_it_and_the_policy_say() -> None:
    found = policy(
        rule("None", users=["eve"]),
        rule("Metadata", omitStages=["ResponseStarted"], omitManagedFields=False),
        rule("Request"),
        omitStages=["RequestReceived"],
        omitManagedFields=True,
    ).decide(PODS)
    assert found.level is Level.METADATA
    assert found.omit_stages == {"RequestReceived", "ResponseStarted"}
    assert not found.omit_managed_fields


SECRET = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"a": "Yg=="}}


@pytest.mark.parametrize(
    ("body", "is_secret", "hidden"),
    [
        (SECRET, True, "Yg=="),
        ({"kind": "SecretList", "items": [{"data": {"a": "Yg=="}}]}, True, "Yg=="),
        ({"kind": "Table", "rows": [{"cells": ["s"], "object": SECRET}]}, True, "Yg=="),
        ({"stringData": {"a": "Yg=="}}, True, "Yg=="),
        ([{"op": "add", "path": "/data/a", "value": "Yg=="}], True, "Yg=="),
        ({"kind": "TokenReview", "spec": {"token": "Yg=="}}, False, "Yg=="),
        ({"kind": "TokenRequest", "status": {"token": "Yg=="}}, False, "Yg=="),
        (
            {**SECRET, "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "Yg=="}}},
            True,
            "Yg==",
        ),
    ],
)
def test_what_secrets_and_tokens_say_is_not_written_down(body: Any, is_secret: bool, hidden: str) -> None:
    said = orjson.dumps(redacted(body, is_secret=is_secret)).decode()
    assert hidden not in said
    assert REDACTED in said


def test_a_config_map_is_written_down_as_it_is() -> None:
    body = {"kind": "ConfigMap", "data": {"a": "b"}}
    assert redacted(body, is_secret=False) is body


def test_an_event_says_no_more_than_its_level() -> None:
    body = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "uid": "1", "managedFields": []}}
    for level, said in (("Metadata", set()), ("Request", {"requestObject"})):
        detail = policy(rule(level, omitManagedFields=True)).decide(PODS)
        notes = {"mutation.webhook.admission.k8s.io/x": "", "patch.webhook.admission.k8s.io/x": ""}
        record = Record("id", "/uri", PODS, detail, NOW, ["10.0.0.1"], "curl", notes)
        event = record.event("ResponseComplete", NOW, 201, body, body)
        assert event is not None
        assert {name for name in event if name.endswith("Object")} == said
        assert ("patch.webhook.admission.k8s.io/x" in event["annotations"]) is bool(said)
        assert event["objectRef"]["uid"] == "1"
        assert event["responseStatus"] == {"metadata": {}, "code": 201}
        assert event["requestReceivedTimestamp"] == "2026-01-02T03:04:05.000000Z"
        assert "managedFields" not in event.get("requestObject", {}).get("metadata", {})


@pytest.mark.parametrize(
    ("path", "status", "tells"),
    [("", 200, True), ("/apis", 200, True), ("/api/v1", 200, True), ("/version", 200, False), ("/version", 405, True)],
)
def test_discovery_and_refusals_answer_objects(path: str, status: int, tells: bool) -> None:
    assert _may_tell(path, status) is tells


def test_what_is_asked_beside_is_not_told() -> None:
    record = Record("id", "/uri", PODS, policy(rule()).decide(PODS), NOW, [], "curl", {})

    def serve() -> None:
        RECORD.set(record)
        for decision in (Decision(True, "by a role"), Decision(False, "may not create")):
            Auditor.authorized(decision)

    copy_context().run(serve)
    assert record.annotations == {
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "by a role",
    }


async def test_a_full_log_is_turned_over_and_old_ones_go(tmp_path: Path) -> None:
    moments = iter([NOW.replace(second=second) for second in range(10)])
    path = tmp_path / "audit.log"
    log = AuditLog(str(path), Rotation(max_backups=1, max_megabytes=1), lambda: next(moments))
    for at in range(5):
        log.add({"at": at, "text": "x" * 400_000})
    task = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    backups = [name for name in os.listdir(tmp_path) if name != path.name]
    assert backups == ["audit-2026-01-02T03-04-01.000.log"]
    assert [orjson.loads(line)["at"] for line in path.read_bytes().splitlines()] == [4]
    assert path.stat().st_mode & 0o777 == 0o600


@asynccontextmanager
async def audited(
    make_config: Callable[..., ServerConfig],
    tmp_path: Path,
    *rules: Object,
    omits: Sequence[str] = ("RequestReceived",),
) -> AsyncIterator[tuple[Cluster, Path]]:
    """A server that writes down what `rules` say, but for the stages it omits, and where it does."""
    written, policy = tmp_path / "audit.log", tmp_path / "policy.yaml"
    said = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": omits, "rules": rules}
    policy.write_bytes(orjson.dumps(said))
    async with (
        running_server(make_config(audit_policy_file=policy, audit_log_path=str(written))) as running,
        session(running.pki, certificate=True) as admin,
        session(running.pki, certificate=False) as anyone,
    ):
        yield Cluster(running, admin, anyone), written


async def test_requests_are_written_down_stage_by_stage(
    tmp_path: Path, make_config: Callable[..., ServerConfig]
) -> None:
    path = "/api/v1/namespaces/default/secrets"
    rules = rule("RequestResponse", namespaces=["default"]), rule("Metadata", users=["", "bob"])
    async with audited(make_config, tmp_path, *rules, omits=()) as (cluster, written):
        made = await cluster.ask("POST", path, {**SECRET, "data": {"a": "aGlkZGVu"}}, Audit_ID="mine")
        assert made.headers["Audit-Id"] == "mine"
        assert (await cluster.ask("GET", f"{path}/nix", Audit_ID="nö")).headers["Audit-Id"].isascii()
        await cluster.ask("GET", f"{path}?watch=true&timeoutSeconds=1&resourceVersion=1")
        await cluster.ask("GET", "/api/v1/nodes", Impersonate_User="bob")
        await cluster.ask("GET", "/api/v1/nodes", token="wrong")
    events = [orjson.loads(line) for line in written.read_bytes().splitlines()]
    mine = [event for event in events if event["user"].get("username") == "system:admin"]
    assert [(event["verb"], event["stage"], event.get("responseStatus", {}).get("code")) for event in mine] == [
        ("create", "RequestReceived", None),
        ("create", "ResponseComplete", 201),
        ("get", "RequestReceived", None),
        ("get", "ResponseComplete", 404),
        ("watch", "RequestReceived", None),
        ("watch", "ResponseStarted", 200),
        ("watch", "ResponseComplete", 200),
    ]
    created = mine[1]
    assert created["auditID"] == "mine"
    assert created["objectRef"] == {"resource": "secrets", "namespace": "default", "name": "s", "apiVersion": "v1"}
    assert created["requestObject"]["data"] == {"a": REDACTED}
    assert created["responseObject"]["metadata"]["uid"]
    assert created["annotations"] == {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""}
    assert mine[3]["responseStatus"]["message"] == 'secrets "nix" not found'
    (refused,) = [event for event in events if not event["user"].get("username")]
    assert (refused["stage"], refused["user"]) == ("ResponseStarted", {})
    assert (refused["responseStatus"]["code"], refused["responseStatus"]["message"]) == (401, "Unauthorized")
    assert b"aGlkZGVu" not in written.read_bytes()


async def test_requests_are_written_down_as_they_were_understood(
    tmp_path: Path, make_config: Callable[..., ServerConfig]
) -> None:
    rules = rule("RequestResponse", users=["system:admin"])
    async with audited(make_config, tmp_path, rules) as (cluster, written):
        base = "/api/v1/namespaces/default"
        await cluster.ask("POST", f"{base}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
        await cluster.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "hidden"}})
        await cluster.ask("DELETE", f"{base}/services/s", {"propagationPolicy": "Background"})
        await cluster.ask("GET", f"{base}/endpoints")
        await cluster.ask("GET", f"{base}/pods/nix/log")
        await cluster.ask("GET", f"{base}/secrets", Accept=decode.PROTOBUF_TYPE)
        await cluster.ask("GET", f"{base}/configmaps", Accept=decode.PROTOBUF_TYPE)
        await cluster.ask("GET", f"{base}/configmaps/nix", Accept=decode.PROTOBUF_TYPE)
        orphaning = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}
        of_options = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
        await cluster.ask(
            "DELETE", f"{base}/configmaps/nix", protobuf.dump(orphaning, of_options), Content_Type=decode.PROTOBUF_TYPE
        )
    events = [orjson.loads(line) for line in written.read_bytes().splitlines()]
    created, reviewed, deleted, deprecated, started, ended, secrets, maps, missing, orphaned = events
    shown = [one["responseObject"]["kind"] for one in (secrets, maps, missing)]
    assert shown == ["SecretList", "ConfigMapList", "Status"]
    assert missing["responseStatus"]["message"] == 'configmaps "nix" not found'
    assert orphaned["requestObject"]["propagationPolicy"] == "Orphan"
    assert (created["requestObject"]["kind"], created["requestObject"]["spec"]["type"]) == ("Service", "ClusterIP")
    assert "clusterIP" not in created["requestObject"]["spec"]
    assert reviewed["requestObject"]["spec"] == {"token": REDACTED}
    assert deleted["requestObject"] == {
        "kind": "DeleteOptions",
        "apiVersion": "meta.k8s.io/__internal",
        "propagationPolicy": "Background",
    }
    assert deprecated["annotations"]["k8s.io/deprecated"] == "true"
    assert [event["stage"] for event in (started, ended)] == ["ResponseStarted", "ResponseComplete"]
    assert started["responseStatus"]["code"] == ended["responseStatus"]["code"] == 404


async def test_who_has_an_answer_finds_it_in_the_log(tmp_path: Path, make_config: Callable[..., ServerConfig]) -> None:
    rules = rule("Metadata", users=["system:admin", ""])
    async with audited(make_config, tmp_path, rules, omits=()) as (cluster, written):
        for at in range(20):
            await cluster.ask("GET", "/api/v1/nodes", Audit_ID=f"id-{at}")
            last = orjson.loads(written.read_bytes().splitlines()[-1])
            assert (last["auditID"], last["stage"]) == (f"id-{at}", "ResponseComplete")
        await cluster.ask("GET", "/api/v1/nodes", token="wrong", Audit_ID="nobody")
        assert orjson.loads(written.read_bytes().splitlines()[-1])["auditID"] == "nobody"


async def test_a_log_that_hangs_holds_an_answer_up_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(str(tmp_path / "audit.log"), Rotation(), lambda: NOW)
    monkeypatch.setattr("pylet.server.audit.log._MOST_SECONDS", 0.01)
    await log.written()
    log.add({"at": 1})
    await log.written()
    assert not (tmp_path / "audit.log").exists(), "nobody writes it"


async def test_what_a_token_of_a_secret_says_is_noted_and_warned_of(
    tmp_path: Path, make_config: Callable[..., ServerConfig]
) -> None:
    async with audited(make_config, tmp_path, rule("Metadata", users=[BOT, ""])) as (cluster, written):
        base = "/api/v1/namespaces/default"
        account = {"metadata": {"name": "bot"}, "secrets": [{"name": "made"}]}
        await cluster.ask("POST", f"{base}/serviceaccounts", account)
        tokens = {}
        for name in ("made", "own"):
            meta = {"name": name, "annotations": {"kubernetes.io/service-account.name": "bot"}}
            await cluster.ask(
                "POST", f"{base}/secrets", {"metadata": meta, "type": "kubernetes.io/service-account-token"}
            )
            found = await answered(
                partial(cluster.ask, "GET", f"{base}/secrets/{name}"), lambda got: "token" in got.json.get("data", ())
            )
            tokens[name] = base64.b64decode(found.json["data"]["token"]).decode()
        asked = [await cluster.ask("GET", f"{base}/pods", token=tokens[name]) for name in ("made", "own")]
        invalid = {"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}}
        merge = "application/merge-patch+json"
        await cluster.ask("PATCH", f"{base}/secrets/made", invalid, Content_Type=merge)
        asked.append(await cluster.ask("GET", f"{base}/pods", token=tokens["made"]))
        assert [one.status for one in asked] == [403, 403, 401]
        assert [one.headers.getall("Warning", []) for one in asked] == [
            [
                '299 - "Use tokens from the TokenRequest API or manually created secret-based tokens instead of '
                'auto-generated secret-based tokens."'
            ],
            [],
            [],
        ]
    noted = [orjson.loads(line).get("annotations", {}) for line in written.read_bytes().splitlines()]
    prefix = "authentication.k8s.io/legacy-token-"
    assert [{key: value for key, value in notes.items() if key.startswith(prefix)} for notes in noted] == [
        {f"{prefix}autogenerated-secret": "made"},
        {f"{prefix}manual-secret": "own"},
        {f"{prefix}invalidated": "made/default"},
    ]


async def test_what_controllers_write_is_written_down(tmp_path: Path, make_config: Callable[..., ServerConfig]) -> None:
    accounts = ["system:serviceaccounts:kube-system"]
    choosing = {**resources("pods"), "level": "Request", "userGroups": accounts, "verbs": ["create", "delete"]}
    async with audited(make_config, tmp_path, choosing) as (cluster, written):
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "web:0"}]}}
        spec = {"selector": {"matchLabels": labels}, "replicas": 1, "template": template}
        sets = "/apis/apps/v1/namespaces/default/replicasets"
        await cluster.ask("POST", sets, {"metadata": {"name": "web"}, "spec": spec})
        pods = partial(cluster.ask, "GET", "/api/v1/namespaces/default/pods")
        await answered(pods, lambda found: found.json["items"])
        await cluster.ask("DELETE", f"{sets}/web")
        await answered(pods, lambda found: not found.json["items"])
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
        await cluster.ask("POST", "/api/v1/namespaces/default/resourcequotas", quota)
        await cluster.ask("POST", sets, {"metadata": {"name": "web"}, "spec": spec})
        await answered(
            partial(cluster.ask, "GET", f"{sets}/web"), lambda found: found.json.get("status", {}).get("conditions")
        )
    made, ended, refused = [orjson.loads(line) for line in written.read_bytes().splitlines()][:3]
    account = "system:serviceaccount:kube-system:"
    told = [
        (event["user"]["username"], event["verb"], event["responseStatus"]["code"]) for event in (made, ended, refused)
    ]
    assert told == [
        (f"{account}replicaset-controller", "create", 201),
        (f"{account}generic-garbage-collector", "delete", 200),
        (f"{account}replicaset-controller", "create", 403),
    ]
    assert made["requestURI"] == "/api/v1/namespaces/default/pods"
    assert made["requestObject"]["metadata"]["generateName"] == "web-"
    assert ended["requestURI"].startswith("/api/v1/namespaces/default/pods/web-")
    assert ended["requestObject"]["preconditions"]["uid"]
    assert "exceeded quota: q" in refused["responseStatus"]["message"]
