"""Webhooks: what they are asked, what becomes of their answers, and in which order."""

from __future__ import annotations

import base64
from collections import Counter as Amounts
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.validatingwebhookconfiguration import KIND as VALIDATING
from pylet.api.object import Key, Object
from pylet.client.interface import PatchType
from pylet.server.admission.dynamic import counted, webhooks
from pylet.server.registry import User
from pylet.server.webhooks import WebhookFailed
from tests.server.admission.dynamic.conftest import Dynamic, rule
from tests.server.kit import configmap, pod, refused

A, B = "https://hook.test/a", "https://hook.test/b"
CONFIG_MAPS = rule("configmaps")


def allowed(request: Object) -> Object:
    return {"allowed": True}


def denied(message: str = "no", **status: Any) -> Any:
    return lambda request: {"allowed": False, "status": {"message": message, **status}}


def patching(*operations: Object) -> Any:
    patch = base64.b64encode(orjson.dumps(operations)).decode()
    return lambda request: {"allowed": True, "patchType": "JSONPatch", "patch": patch}


def setting(key: str, value: str) -> Any:
    return patching({"op": "add", "path": f"/data/{key}", "value": value})


async def test_a_webhook_is_told_everything(dynamic: Dynamic) -> None:
    dynamic.webhooks.answers[A] = allowed
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    ada = User("ada", ("staff",), "7", {"k": ["v"]})
    await dynamic.api.create(configmap("c", x="1"), user=ada, field_manager="test", stated_manager="test")
    request = dynamic.webhooks.asked[0]
    assert request.pop("uid")
    meta = request["object"].pop("metadata")
    assert (meta["name"], meta["namespace"], bool(meta["uid"])) == ("c", "a", True)
    resource = {"group": "", "version": "v1", "resource": "configmaps"}
    kind = {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert request == {
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": "c",
        "namespace": "a",
        "operation": "CREATE",
        "userInfo": {"username": "ada", "uid": "7", "groups": ["staff"], "extra": {"k": ["v"]}},
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "test"},
        "object": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "1"}},
        "oldObject": None,
    }


async def test_updates_and_deletions_show_the_old_object(dynamic: Dynamic) -> None:
    made = await dynamic.api.create(configmap("c", x="1"))
    dynamic.webhooks.answers[A] = allowed
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    await dynamic.api.update(configmap("c", x="2"))
    await dynamic.api.delete(CONFIG_MAP, "a", "c", propagation="Background", grace_seconds=0)
    update, delete = dynamic.webhooks.asked
    assert (update["operation"], update["oldObject"]["data"], update["object"]["data"]) == (
        "UPDATE",
        {"x": "1"},
        {"x": "2"},
    )
    assert update["object"]["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert (delete["operation"], delete["object"], delete["oldObject"]["data"]) == ("DELETE", None, {"x": "2"})
    assert delete["options"] == {
        "kind": "DeleteOptions",
        "apiVersion": "meta.k8s.io/v1",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Background",
    }


@pytest.mark.parametrize(
    ("answer", "code", "reason", "message"),
    [
        (denied("no"), 400, None, "denied the request: no"),
        (denied("", reason="Because"), 400, "Because", "denied the request: Because"),
        (denied("", code=403, reason="Forbidden"), 403, "Forbidden", "denied the request: Forbidden"),
        (lambda request: {"allowed": False}, 400, None, "denied the request without explanation"),
        (denied("no", code=200), 400, None, "denied the request: no"),
    ],
)
async def test_a_denial_is_what_the_client_gets(
    dynamic: Dynamic, answer: Any, code: int, reason: str | None, message: str
) -> None:
    dynamic.webhooks.answers[A] = answer
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    status = await refused(dynamic.api.create(configmap("c")))
    assert (status["code"], status.get("reason")) == (code, reason)
    assert status["message"] == f'admission webhook "a.hooks.test" {message}'


async def test_a_webhook_that_fails_refuses_the_write_unless_it_may_fail(dynamic: Dynamic) -> None:
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    status = await refused(dynamic.api.create(configmap("c")))
    why = (
        'failed calling webhook "a.hooks.test": failed to call webhook: Post "https://hook.test/a?timeout=10s": refused'
    )
    assert (status["code"], status["reason"]) == (500, "InternalError")
    assert status["message"] == f"Internal error occurred: {why}"
    assert status["details"] == {"causes": [{"message": why}]}
    await dynamic.api.delete(VALIDATING, "", "one")
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS], "failurePolicy": "Ignore"})
    await dynamic.api.create(configmap("c"))


@pytest.mark.parametrize(
    ("response", "says"),
    [
        ({"uid": "other"}, "expected response.uid="),
        ({"allowed": True, "patch": "W10="}, "validating webhook may not return response.patch"),
        ({"allowed": True, "patchType": "JSONPatch"}, "validating webhook may not return response.patchType"),
    ],
)
async def test_an_answer_that_is_none_fails(dynamic: Dynamic, response: Object, says: str) -> None:
    dynamic.webhooks.answers[A] = lambda request: response
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    status = await refused(dynamic.api.create(configmap("c")))
    assert f"received invalid webhook response: {says}" in status["message"]


async def test_patches_are_applied_in_the_order_of_names_and_defaulted(dynamic: Dynamic) -> None:
    dynamic.webhooks.answers |= {A: setting("x", "a"), B: setting("x", "b")}
    late = {"rules": [CONFIG_MAPS], "clientConfig": {"url": B}}
    await dynamic.configure("MutatingWebhookConfiguration", late, name="two")
    await dynamic.configure("MutatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    assert (await dynamic.api.create(configmap("c", z="1")))["data"] == {"x": "b", "z": "1"}
    assert "uid" not in dynamic.webhooks.asked[0]["object"]["metadata"]
    assert dynamic.webhooks.asked[1]["object"]["data"]["x"] == "a"


async def test_a_patched_object_is_defaulted_and_judged_again(dynamic: Dynamic) -> None:
    container = {"name": "d", "image": "registry.test/d:1"}
    dynamic.webhooks.answers[A] = patching({"op": "add", "path": "/spec/initContainers", "value": [container]})
    await dynamic.configure("MutatingWebhookConfiguration", {"rules": [rule("pods")]})
    made = await dynamic.api.create(pod("p"))
    assert made["spec"]["initContainers"][0]["terminationMessagePath"] == "/dev/termination-log"
    dynamic.webhooks.answers[A] = patching({"op": "replace", "path": "/spec/containers/0/name", "value": "NO"})
    status = await refused(dynamic.api.create(pod("q")))
    assert (status["code"], status["details"]["causes"][0]["field"]) == (422, "spec.containers[0].name")


async def test_who_wants_it_is_asked_again_after_later_changes(dynamic: Dynamic) -> None:
    def first(request: Object) -> Any:
        seen = "seen" if "late" in request["object"]["data"] else "unseen"
        return setting("first", seen)(request)

    dynamic.webhooks.answers |= {A: first, B: setting("late", "1")}
    eager = {"rules": [CONFIG_MAPS], "reinvocationPolicy": "IfNeeded"}
    late = {"rules": [CONFIG_MAPS], "name": "b.hooks.test", "clientConfig": {"url": B}}
    await dynamic.configure("MutatingWebhookConfiguration", eager, late)
    made = await dynamic.api.create(configmap("c", z="1"))
    assert made["data"] == {"z": "1", "late": "1", "first": "seen"}
    assert len(dynamic.webhooks.asked) == 3


async def test_dry_runs_only_reach_webhooks_without_side_effects(dynamic: Dynamic) -> None:
    dynamic.webhooks.answers[A] = allowed
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    await dynamic.api.create(configmap("c"), dry_run=True)
    assert dynamic.webhooks.asked[0]["dryRun"] is True


async def test_warnings_and_audit_annotations_reach_the_request(dynamic: Dynamic) -> None:
    annotations = {"k": "v", "of/another": "v", "no name": "v"}
    said = {"allowed": True, "warnings": ["careful"], "auditAnnotations": annotations}
    dynamic.webhooks.answers[A] = lambda request: said
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    request = dynamic.api.request("create", CONFIG_MAP, "a")
    await dynamic.api.registry.create(request, configmap("c"))
    assert (request.warnings, request.annotations) == (["careful"], {"a.hooks.test/k": "v"})


async def test_owners_that_make_no_sense_are_put_back(dynamic: Dynamic) -> None:
    await dynamic.api.create(configmap("c", x="1"), field_manager="one")
    entry = {"operation": "Update", "apiVersion": "", "fieldsType": "FieldsV1"}
    dynamic.webhooks.answers[A] = patching({"op": "replace", "path": "/metadata/managedFields", "value": [entry]})
    every = rule("configmaps", operations=["CREATE", "UPDATE"])
    await dynamic.configure("MutatingWebhookConfiguration", {"rules": [every]})
    request = dynamic.api.request("patch", CONFIG_MAP, "a", "c", field_manager="two")
    changed = (await dynamic.api.registry.patch(request, {"data": {"k": "v"}}, PatchType.MERGE)).entry.object
    assert [entry["manager"] for entry in changed["metadata"]["managedFields"]] == ["one", "two"]
    assert len(request.warnings) == 1
    assert request.warnings[0].startswith(".metadata.managedFields was in an invalid state after admission")


async def test_nobody_is_asked_about_configurations_of_admission(dynamic: Dynamic) -> None:
    everything = {**rule("*"), "apiGroups": ["*"]}
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [everything]})
    await dynamic.configure("MutatingWebhookConfiguration", {"rules": [everything]}, name="two")
    await dynamic.api.delete(VALIDATING, "", "one")
    assert dynamic.webhooks.asked == []


def conditions_counted() -> dict[str, int]:
    """Of match conditions of webhooks that validate what is created, all together."""
    prefix, found = "apiserver_admission_match_condition_", Amounts[str]()
    for line in counted.lines():
        name, _, number = line.rpartition(" ")
        if (
            line.startswith(prefix)
            and 'kind="webhook",type="validating",operation="CREATE"' in name
            and "le=" not in name
        ):
            found[name.removeprefix(prefix).partition("{")[0]] += int(float(number))
    return found


async def test_match_conditions_decide_with_the_authorizer(dynamic: Dynamic) -> None:
    from pylet.api.cel.library.authorizer import Question

    dynamic.webhooks.answers[A] = denied()
    conditions = [
        {"name": "one", "expression": "object.metadata.name.startsWith('x')"},
        {"name": "two", "expression": "!authorizer.group('').resource('secrets').check('get').allowed()"},
    ]
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS], "matchConditions": conditions})
    before = conditions_counted()
    await dynamic.api.create(configmap("c"))
    await refused(dynamic.api.create(configmap("x")))
    dynamic.allowed.add(Question(verb="get", resource="secrets"))
    await dynamic.api.create(configmap("x"))
    found = {name: number - before.get(name, 0) for name, number in conditions_counted().items()}
    assert (found["evaluation_seconds_count"], found["exclusions_total"]) == (3, 2)
    assert not found.get("evaluation_errors_total")


async def test_a_match_condition_that_fails_refuses(dynamic: Dynamic) -> None:
    conditions = [{"name": "one", "expression": "object.data.missing == 'x'"}]
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS], "matchConditions": conditions})
    before = conditions_counted().get("evaluation_errors_total", 0)
    status = await refused(dynamic.api.create(configmap("c", z="1")))
    assert conditions_counted()["evaluation_errors_total"] == before + 1
    assert status["message"] == (
        "configmaps \"c\" is forbidden: expression 'object.data.missing == 'x'' resulted in error: no such key: missing"
    )


async def test_a_scale_is_what_webhooks_see_of_scaling(dynamic: Dynamic) -> None:
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": pod("p")["spec"]}
    await dynamic.api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "a"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    dynamic.webhooks.answers[A] = patching({"op": "replace", "path": "/spec/replicas", "value": 3})
    await dynamic.configure("MutatingWebhookConfiguration", {"rules": [rule("deployments/scale", group="apps")]})
    from pylet.api.kinds.deployment import KIND as DEPLOYMENT

    patch = {"spec": {"replicas": 2}}
    scale = await dynamic.api.patch(DEPLOYMENT, "a", "d", patch, subresource="scale")
    request = dynamic.webhooks.asked[0]
    assert (request["kind"]["kind"], request["subResource"]) == ("Scale", "scale")
    assert (request["oldObject"]["spec"], request["object"]["spec"]) == ({"replicas": 1}, {"replicas": 2})
    assert scale["spec"]["replicas"] == 3


async def test_connections_are_asked_about(dynamic: Dynamic) -> None:
    from pylet.api.kinds.pod import KIND as POD

    dynamic.webhooks.answers[A] = denied("not here")
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [rule("pods/*", operations=["CONNECT"])]})
    request = dynamic.api.request("create", POD, "a", "p", subresource="exec")
    options = {"kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh"]}
    status = await refused(dynamic.api.registry.connect(request, options))
    assert status["message"].endswith("denied the request: not here")
    asked = dynamic.webhooks.asked[0]
    assert (asked["operation"], asked["kind"]["kind"], asked["object"], asked["options"], asked["name"]) == (
        "CONNECT",
        "PodExecOptions",
        options,
        None,
        "p",
    )


async def test_nothing_sees_writes_while_nothing_is_configured(dynamic: Dynamic) -> None:
    chain = dynamic.api.registry.admission
    before = len(chain.seeing("configmaps", "", "create").validate)
    await dynamic.configure("ValidatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    assert len(chain.seeing("configmaps", "", "create").validate) == before + 1
    await dynamic.api.delete(VALIDATING, "", "one")
    assert len(chain.seeing("configmaps", "", "create").validate) == before
    assert Key("", "one") not in dynamic.api.registry.table(VALIDATING).entries


async def test_calls_are_counted_by_how_they_end(dynamic: Dynamic) -> None:
    dynamic.webhooks.answers[A] = denied(code=418)
    name = {"name": "counted.hooks.test", "rules": [CONFIG_MAPS]}
    failing = {"name": "open.hooks.test", "rules": [CONFIG_MAPS], "failurePolicy": "Ignore", "clientConfig": {"url": B}}
    await dynamic.configure("ValidatingWebhookConfiguration", name, failing)
    await refused(dynamic.api.create(configmap("c")))
    told = "\n".join(counted.lines())
    of, prefix = 'name="counted.hooks.test",type="validating",operation="CREATE"', "apiserver_admission_webhook_"
    assert f'{prefix}request_total{{{of},code="418",rejected="true"}} 1' in told
    assert f'{prefix}rejection_count{{{of},error_type="no_error",rejection_code="418"}} 1' in told
    assert f'{prefix}fail_open_count{{name="open.hooks.test",type="validating"}} 1' in told
    took = 'admission_duration_seconds_count{name="counted.hooks.test",operation="CREATE",rejected="true"'
    assert f'{prefix}{took},type="validating"}} 1' in told


async def test_what_a_webhook_patches_is_told_as_go_prints_it(dynamic: Dynamic) -> None:
    dynamic.webhooks.answers[A] = patching({"path": "/data/k", "value": "v", "op": "add"})
    await dynamic.configure("MutatingWebhookConfiguration", {"rules": [CONFIG_MAPS]})
    request = dynamic.api.request("create", CONFIG_MAP, "a")
    await dynamic.api.registry.create(request, configmap("c", x="1"))
    (patch,) = (told for key, told in request.annotations.items() if key.startswith("patch.webhook"))
    assert '"patch":[{"op":"add","path":"/data/k","value":"v"}]' in patch


async def test_webhooks_share_the_time_that_a_request_has(dynamic: Dynamic, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(webhooks, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow(request: Object) -> Object:
        now[0] += 2
        return allowed(request)

    dynamic.webhooks.answers[A] = slow
    hooks = [{"rules": [CONFIG_MAPS], "name": f"{name}.hooks.test", "timeoutSeconds": 5} for name in "abcd"]
    await dynamic.configure("MutatingWebhookConfiguration", *hooks)
    await dynamic.api.create(configmap("all"))
    await dynamic.api.create(configmap("enough"), deadline=now[0] + 8.5)
    assert dynamic.webhooks.seconds == [5, 5, 5, 5, 5, 5, 4.5, 2.5]
    status = await refused(dynamic.api.create(configmap("few"), deadline=now[0] + 4))
    assert (status["code"], status["reason"], len(dynamic.webhooks.seconds)) == (504, "Timeout", 10)
    assert status["message"] == "Timeout: request did not complete within the allotted timeout"


async def test_who_may_fail_may_not_be_later_than_the_request(
    dynamic: Dynamic, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(webhooks, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def late(request: Object) -> Object:
        now[0] += 5
        raise WebhookFailed("context deadline exceeded")

    dynamic.webhooks.answers[A] = late
    hook = {"rules": [CONFIG_MAPS], "failurePolicy": "Ignore"}
    await dynamic.configure("ValidatingWebhookConfiguration", hook)
    assert await dynamic.api.create(configmap("all"), deadline=now[0] + 6)
    assert (await refused(dynamic.api.create(configmap("late"), deadline=now[0] + 4)))["code"] == 504
