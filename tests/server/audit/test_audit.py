"""The audit log: what a policy decides, what an event says and does not say, and the file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from pylet.api.wire import decode, protobuf
from pylet.server.audit.log import AuditLog, Rotation
from pylet.server.audit.policy import Level, Policy
from pylet.server.audit.record import REDACTED, Record, redacted
from pylet.server.auth.attributes import Attributes
from pylet.server.config import ServerConfig
from pylet.server.registry import User
from tests.server.conftest import Cluster, running_server, session

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BOB = User("bob", ("dev", "system:authenticated"))
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
        record = Record("id", "/uri", PODS, detail, NOW, ["10.0.0.1"], "curl")
        record.annotations = {"mutation.webhook.admission.k8s.io/x": "", "patch.webhook.admission.k8s.io/x": ""}
        event = record.event("ResponseComplete", NOW, 201, body, body)
        assert event is not None
        assert {name for name in event if name.endswith("Object")} == said
        assert ("patch.webhook.admission.k8s.io/x" in event["annotations"]) is bool(said)
        assert event["objectRef"]["uid"] == "1"
        assert event["responseStatus"] == {"metadata": {}, "code": 201}
        assert event["requestReceivedTimestamp"] == "2026-01-02T03:04:05.000000Z"
        assert "managedFields" not in event.get("requestObject", {}).get("metadata", {})


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


async def test_requests_are_written_down_stage_by_stage(
    tmp_path: Path, make_config: Callable[..., ServerConfig]
) -> None:
    written, rules = tmp_path / "audit.log", tmp_path / "policy.yaml"
    rules.write_bytes(
        orjson.dumps(
            {
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "rules": [rule("RequestResponse", namespaces=["default"]), rule("Metadata", users=["", "bob"])],
            }
        )
    )
    path = "/api/v1/namespaces/default/secrets"
    settled = make_config(audit_policy_file=rules, audit_log_path=str(written))
    async with (
        running_server(settled) as running,
        session(running.pki, certificate=True) as admin,
        session(running.pki, certificate=False) as anyone,
    ):
        cluster = Cluster(running, admin, anyone)
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
    written, rules = tmp_path / "audit.log", tmp_path / "policy.yaml"
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
    rules.write_bytes(orjson.dumps({**policy, "rules": [rule("RequestResponse", users=["system:admin"])]}))
    settled = make_config(audit_policy_file=rules, audit_log_path=str(written))
    async with (
        running_server(settled) as running,
        session(running.pki, certificate=True) as admin,
        session(running.pki, certificate=False) as anyone,
    ):
        cluster = Cluster(running, admin, anyone)

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
