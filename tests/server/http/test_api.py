"""The API as a client sees it, over TLS on loopback."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest
import yaml

from pylet.server import spent
from pylet.server.flow import Limiter, Rejected

NAMESPACE = "/api/v1/namespaces/default"
MAPS = f"{NAMESPACE}/configmaps"
ODD = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "spec": 1}
PROTOBUF = "application/vnd.kubernetes.protobuf"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_an_object_is_created_read_changed_and_deleted(cluster: Any) -> None:
    made = await cluster.ask("POST", MAPS, config_map("a", x="1"))
    assert made.status == 201
    assert made.json["metadata"]["resourceVersion"]
    assert (await cluster.ask("GET", f"{MAPS}/a")).body == made.body
    put = await cluster.ask("PUT", f"{MAPS}/a", config_map("a", x="2"))
    assert (put.status, put.json["data"]) == (200, {"x": "2"})
    patched = await cluster.ask("PATCH", f"{MAPS}/a", {"data": {"y": "3"}}, Content_Type="application/merge-patch+json")
    assert patched.json["data"] == {"x": "2", "y": "3"}
    assert (await cluster.ask("DELETE", f"{MAPS}/a")).json["status"] == "Success"
    gone = await cluster.ask("GET", f"{MAPS}/a")
    assert (gone.status, gone.json["message"]) == (404, 'configmaps "a" not found')


async def test_a_list_streams_every_object_and_a_table_has_columns(cluster: Any) -> None:
    for number in range(5):
        await cluster.ask("POST", MAPS, config_map(f"m{number}", big="x" * 60_000))
    listed = (await cluster.ask("GET", MAPS)).json
    assert listed["kind"] == "ConfigMapList"
    assert [item["metadata"]["name"] for item in listed["items"]][-5:] == [f"m{number}" for number in range(5)]
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = (await cluster.ask("GET", MAPS, Accept=accept)).json
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]][:2] == ["Name", "Data"]


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("/api/v1/namespaces", {"metadata", "spec", "status"}),
        ("/apis/autoscaling/v1/horizontalpodautoscalers", {"metadata", "spec", "status"}),
    ],
)
async def test_items_of_a_list_leave_it_to_the_list_what_they_are(cluster: Any, path: str, item: set[str]) -> None:
    scaler = {"maxReplicas": 1, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}
    body = {"metadata": {"name": "h"}, "spec": scaler}
    made = await cluster.ask("POST", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", body)
    assert made.status == 201, made.body
    for accept in ("application/json", "application/yaml"):
        answer = await cluster.ask("GET", path, Accept=accept)
        listed = yaml.safe_load(answer.body)
        assert listed["kind"].endswith("List")
        assert {*listed["items"][0]} == item


@pytest.mark.parametrize("initial", [True, False], ids=["initial events", "events to come"])
async def test_only_the_first_table_of_a_watch_names_the_columns(cluster: Any, *, initial: bool) -> None:
    names = [f"m{number}" for number in range(3)]
    since = (await cluster.ask("GET", MAPS)).json["metadata"]["resourceVersion"]
    for name in names:
        await cluster.ask("POST", MAPS, config_map(name))
    ask = (
        {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"} if initial else {"resourceVersion": since}
    )
    query = {"watch": "1", "timeoutSeconds": "30", "allowWatchBookmarks": "true", **ask}
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with cluster.admin.get(cluster.running.url + MAPS, params=query, headers=accept) as watch:
        lines = [orjson.loads(await asyncio.wait_for(watch.content.readline(), 60)) for _ in names]
    columns = [line["object"]["columnDefinitions"] for line in lines]
    assert columns[0][0]["name"] == "Name"
    assert columns[1:] == [None, None]


async def test_a_watch_tells_what_happens_after_the_list(cluster: Any) -> None:
    since = (await cluster.ask("GET", MAPS)).json["metadata"]["resourceVersion"]
    query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": "30", "fieldSelector": "metadata.name=a"}
    async with cluster.admin.get(cluster.running.url + MAPS, params=query) as watch:
        await cluster.ask("POST", MAPS, config_map("a", x="1"))
        await cluster.ask("DELETE", f"{MAPS}/a")
        lines = [orjson.loads(await asyncio.wait_for(watch.content.readline(), 60)) for _ in range(2)]
    assert [(line["type"], line["object"]["metadata"]["name"]) for line in lines] == [("ADDED", "a"), ("DELETED", "a")]


@pytest.mark.parametrize("path", ["/version", MAPS])
async def test_a_timeout_that_is_none_is_refused(cluster: Any, path: str) -> None:
    refused = await cluster.ask("GET", f"{path}?timeout=soon")
    assert (refused.status, refused.json["message"].partition(" - ")[0]) == (
        400,
        "invalid timeout specified in the request URL",
    )


async def test_a_watch_says_how_far_it_came_before_it_ends(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylet.server.http.watching._REMIND_SECONDS", 0.9)
    query = "watch=1&timeoutSeconds=1&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dnone"
    ended = await cluster.ask("GET", f"{MAPS}?{query}&resourceVersion={cluster.running.registry.revision}")
    assert [orjson.loads(line)["type"] for line in ended.body.splitlines()] == ["BOOKMARK"]


async def test_a_watch_from_the_future_is_refused_in_the_stream(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylet.server.registry.state._FRESH_SECONDS", 0)
    query = "watch=1&resourceVersion=99999999&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    told = await cluster.ask("GET", f"{MAPS}?{query}")
    assert (told.status, told.json["type"], told.json["object"]["reason"]) == (200, "ERROR", "Timeout")


async def test_a_watch_ends_after_its_timeout_and_the_connection_serves_on(cluster: Any) -> None:
    ended = await cluster.ask("GET", f"{MAPS}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone")
    assert (ended.status, ended.body) == (200, b"")
    assert (await cluster.ask("GET", "/version")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "says"),
    [
        pytest.param("POST", MAPS, b"{", {}, 400, "unexpected end of JSON input", id="malformed JSON"),
        pytest.param(
            "POST", MAPS, b"{}", {"Content_Type": "text/xml"}, 415, "unknown format", id="a body type nobody has"
        ),
        pytest.param(
            "GET", MAPS, None, {"Accept": "text/xml"}, 406, "Available representations", id="an answer type nobody has"
        ),
        pytest.param("POST", MAPS, b" " * ((3 << 20) + 1), {}, 413, "limit is 3145728", id="a body over 3 MB"),
        pytest.param("GET", f"{MAPS}?limit=x", None, {}, 400, "ParseInt", id="a limit that is no number"),
        pytest.param("GET", f"{NAMESPACE}/nothing", None, {}, 404, "could not find", id="an unknown resource"),
        pytest.param("PUT", MAPS, b"{}", {}, 405, "does not allow this method", id="a verb the collection lacks"),
        pytest.param("GET", f"{MAPS}?labelSelector=a%3D%3D%3Db", None, {}, 400, "", id="a broken selector"),
        pytest.param(
            "POST", f"{MAPS}?fieldValidation=Strict", ODD, {}, 400, 'field "spec"', id="an unknown field, Strict"
        ),
        pytest.param(
            "POST", MAPS, b"k8s\x00\xff", {"Content_Type": PROTOBUF}, 400, "unexpected EOF", id="broken protobuf"
        ),
    ],
)
async def test_what_is_refused_is_worded_as_a_status(
    cluster: Any, method: str, path: str, body: Any, headers: dict[str, str], status: int, says: str
) -> None:
    refused = await cluster.ask(method, path, body, **headers)
    assert refused.status == status
    assert refused.json["kind"] == "Status"
    assert refused.json["code"] == status
    assert says in refused.json["message"]


async def test_unknown_fields_warn(cluster: Any) -> None:
    made = await cluster.ask("POST", MAPS, {**config_map("w"), "spec": 1})
    assert made.status == 201
    assert made.headers["Warning"] == '299 - "unknown field \\"spec\\""'


async def test_yaml_goes_in_and_out(cluster: Any) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\ndata: {k: v}\n"
    made = await cluster.ask("POST", MAPS, body, Content_Type="application/yaml", Accept="application/yaml")
    assert made.headers["Content-Type"] == "application/yaml"
    assert b"\ndata:\n  k: v\n" in b"\n" + made.body


async def test_discovery_is_told_both_ways(cluster: Any) -> None:
    classic = (await cluster.ask("GET", "/apis/apps/v1")).json
    assert {"deployments", "deployments/scale"} <= {entry["name"] for entry in classic["resources"]}
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    first = await cluster.ask("GET", "/apis", Accept=accept)
    assert first.json["kind"] == "APIGroupDiscoveryList"
    again = await cluster.ask("GET", "/apis", Accept=accept, If_None_Match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
async def test_health_and_version_are_public(cluster: Any, path: str) -> None:
    assert (await cluster.ask("GET", path, anonymous=True)).status == 200


async def test_the_parts_of_the_server_are_healthy_components(cluster: Any) -> None:
    listed = await cluster.ask("GET", "/api/v1/componentstatuses")
    names = [item["metadata"]["name"] for item in listed.json["items"]]
    assert names == ["controller-manager", "etcd-0", "scheduler"]
    one = await cluster.ask("GET", f"/api/v1/componentstatuses/{names[-1]}")
    assert one.json["conditions"] == [{"type": "Healthy", "status": "True", "message": "ok"}]


async def test_service_level_indicators_have_a_path(cluster: Any) -> None:
    await cluster.ask("GET", "/readyz")
    text = (await cluster.ask("GET", "/metrics/slis")).body.decode()
    assert 'kubernetes_healthcheck{name="ping",type="readyz"} 1\n' in text


async def test_the_paths_and_the_status_of_the_server_are_told(cluster: Any) -> None:
    paths = (await cluster.ask("GET", "/")).json["paths"]
    assert {"/apis/apps", "/apis/apps/v1", "/livez/ping", "/openapi/v3", "/statusz"} <= set(paths)
    assert paths == sorted(paths)
    assert not any(path.startswith("/debug/") for path in paths)
    dump = await cluster.ask("GET", "/debug/api_priority_and_fairness/dump_requests?includeRequestDetails=1")
    assert dump.body.startswith(b"PriorityLevelName, FlowSchemaName, QueueIndex, ")
    text = (await cluster.ask("GET", "/statusz")).body.decode()
    assert text.startswith("\napiserver statusz\nWarning: ")
    assert "\nEmulation version: 1.36\n" in text
    accept = "application/json;v=v1beta1;g=config.k8s.io;as=Statusz"
    told = await cluster.ask("GET", "/statusz", Accept=accept)
    assert (told.json["kind"], told.json["emulationVersion"]) == ("Statusz", "1.36")
    assert (await cluster.ask("GET", "/statusz", Accept="application/json")).status == 406


async def test_flagz_tells_what_the_server_was_started_with(cluster: Any) -> None:
    text = (await cluster.ask("GET", "/flagz")).body.decode()
    assert text.startswith("\napiserver flagz\nWarning: ")
    assert "\nservice-cidr=10.43.0.0/16\n" in text
    assert "\ntoken=" not in text, "secrets stay secrets"
    for form, read in (("json", orjson.loads), ("yaml", yaml.safe_load)):
        told = await cluster.ask("GET", "/flagz", Accept=f"application/{form};g=config.k8s.io;v=v1beta1;as=Flagz")
        assert (told.status, read(told.body)["flags"]["service-cidr"]) == (200, "10.43.0.0/16")


async def test_a_dry_run_stores_nothing(cluster: Any) -> None:
    made = await cluster.ask("POST", f"{MAPS}?dryRun=All", config_map("d"))
    assert made.status == 201
    assert (await cluster.ask("GET", f"{MAPS}/d")).status == 404


async def test_the_metrics_count_requests(cluster: Any) -> None:
    """By the names and labels that the rules of the kubernetes-mixin select."""
    await cluster.ask("GET", MAPS)
    await cluster.ask("POST", MAPS, config_map("counted"))
    await cluster.ask("GET", "/api/v1/endpoints")
    await cluster.ask("POST", f"{MAPS}?dryRun=All", config_map("dry"))
    await cluster.ask("GET", f"{MAPS}?watch=1&timeoutSeconds=1")
    listed = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    await cluster.ask("GET", f"{MAPS}?watch=1&timeoutSeconds=1&{listed}")
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await cluster.ask("POST", "/api/v1/namespaces/default/pods?dryRun=All", pod)
    assert (await cluster.ask("GET", "/version", anonymous=True)).status == 200
    assert (await cluster.ask("GET", "/api/v1/secrets", anonymous=True)).status == 403
    assert (await cluster.ask("GET", "/api/v1/secrets", token="bad")).status == 401
    text = (await cluster.ask("GET", "/metrics")).body.decode()
    read, written, watched = (
        f'component="apiserver",group="",resource="configmaps",scope="{scope}",subresource="",verb="{verb}",version="v1"'
        for scope, verb in (("namespace", "LIST"), ("resource", "POST"), ("namespace", "WATCH"))
    )
    for line in (
        f'apiserver_request_total{{{read},dry_run="",code="200"}} 1',
        f'apiserver_request_total{{{written},dry_run="",code="201"}} 1',
        f'apiserver_request_total{{{written},dry_run="All",code="201"}} 1',
        f'apiserver_request_duration_seconds_bucket{{{read},dry_run="",le="1"}} 1',
        f'apiserver_request_duration_seconds_count{{{watched},dry_run=""}} 2',
        f'apiserver_response_sizes_bucket{{{read},le="1e+06"}} 1',
        'apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource=""',
        f'apiserver_request_sli_duration_seconds_bucket{{{written},le="+Inf"}} 1',
        f'apiserver_request_sli_duration_seconds_bucket{{{written},le="60"}} 1',
        'authentication_duration_seconds_count{result="error"} 1',
        'authorization_duration_seconds_count{result="no-opinion"} 1',
        'authenticated_user_requests{username="other"} ',
        'apiserver_request_body_size_bytes_count{group="",resource="configmaps",verb="create"} 2',
        'apiserver_cache_list_total{group="",index="",resource="configmaps"} 1',
        'apiserver_cache_list_returned_objects_total{group="",resource="configmaps"} ',
        'apiserver_watch_cache_consistent_read_total{fallback="false",group="",resource="configmaps",success="true"} 1',
        'apiserver_init_events_total{group="",resource="configmaps"} ',
        'apiserver_watch_list_duration_seconds_count{group="",resource="configmaps",scope="namespace",version="v1"} 1',
        'apiserver_current_inqueue_requests{request_kind="readOnly"} 0',
        'apiserver_flowcontrol_work_estimated_seats_bucket{flow_schema="exempt",priority_level="exempt",le="1"} ',
        'version_info{binary="1.36.',
        "# TYPE apiserver_request_sli_duration_seconds histogram",
        'apiserver_current_inflight_requests{request_kind="readOnly"} 1',
        'apiserver_current_inflight_requests{request_kind="mutating"} 0',
        'apiserver_storage_objects{resource="namespaces"} ',
        'apiserver_resource_objects{group="apps",resource="deployments"} 0',
        'aggregator_unavailable_apiservice{name="v1.apps"} 0',
        'apiserver_flowcontrol_current_executing_seats{flow_schema="exempt",priority_level="exempt"} 1',
        'apiserver_flowcontrol_current_inqueue_requests{flow_schema="global-default",'
        'priority_level="global-default"} 0',
        'apiserver_flowcontrol_request_wait_duration_seconds_bucket{execute="true",flow_schema="global-default",',
        'apiserver_storage_events_received_total{group="",resource="configmaps"} ',
        'apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace",'
        'subresource="",verb="WATCH",version="v1"} 0',
        'authentication_attempts{result="success"} ',
        'authentication_attempts{result="error"} 1',
        'authorization_attempts_total{result="allowed"} ',
        'authorization_attempts_total{result="no-opinion"} 1',
        "apiserver_audit_event_total ",
        'kube_apiserver_clusterip_allocator_allocated_ips{cidr="',
        "kube_apiserver_nodeport_allocator_available_ports ",
        "serviceaccount_valid_tokens_total ",
        "process_network_receive_bytes_total ",
        'pod_security_evaluations_total{decision="allow",mode="enforce",policy_level="privileged",',
    ):
        assert f"\n{line}" in text, line
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


async def test_what_is_cut_off_is_counted_apart(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reject(*_: Any) -> None:
        spent.one_after_another(1)
        raise Rejected

    with monkeypatch.context() as busy:
        busy.setattr(Limiter, "enter", reject)
        answer = await cluster.ask("GET", MAPS)
    assert not spent.BY_REQUEST
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    text = (await cluster.ask("GET", "/metrics")).body.decode()
    (line,) = [line for line in text.splitlines() if line.startswith("apiserver_request_terminations_total{")]
    assert line.endswith(
        'resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1",code="429"} 1'
    )
    assert 'code="429"' not in text.replace(line, "")


async def test_the_metrics_call_what_was_asked_as_upstream_does(cluster: Any) -> None:
    pods = f"{NAMESPACE}/pods"
    await cluster.ask("DELETE", f"{MAPS}?labelSelector=a")
    await cluster.ask("GET", f"{MAPS}?fieldSelector=metadata.name=a")
    await cluster.ask("PATCH", f"{MAPS}/a", {}, Content_Type="application/merge-patch+json")
    await cluster.ask("PATCH", f"{MAPS}/a", {}, Content_Type="application/apply-patch+yaml")
    await cluster.ask("GET", f"{pods}/a/log")
    await cluster.ask("POST", f"{pods}/a/exec")
    await cluster.ask("GET", f"{pods}/a")
    text = (await cluster.ask("GET", "/metrics")).body.decode()
    for resource, scope, subresource, verb in (
        ("configmaps", "namespace", "", "DELETE"),
        ("configmaps", "namespace", "", "LIST"),
        ("configmaps", "resource", "", "PATCH"),
        ("configmaps", "resource", "", "APPLY"),
        ("pods", "resource", "log", "CONNECT"),
        ("pods", "resource", "exec", "CONNECT"),
        ("pods", "resource", "", "GET"),
    ):
        asked = f'resource="{resource}",scope="{scope}",subresource="{subresource}",verb="{verb}"'
        assert re.search(f"apiserver_request_total{{.*{asked},.*}} 1\n", text), asked


async def test_the_metrics_do_not_remember_names_that_nothing_has(cluster: Any) -> None:
    for path in ("/apis/made.up/v7/things", "/api/v1/mades/up", "/api/v1/namespaces/a/pods/x/madeup", "/made/up"):
        await cluster.ask("GET", path)
    text = (await cluster.ask("GET", "/metrics")).body.decode()
    assert not re.search(r"\"[^\"\n]*made", text)  # what is counted may be said to be made
    nothing, pods = (
        'group="",resource="",scope="",subresource=""',
        'group="",resource="pods",scope="resource",subresource=""',
    )
    assert (
        f'apiserver_request_total{{component="apiserver",{nothing},verb="GET",version="",dry_run="",code="404"}}'
        in text
    )
    assert (
        f'apiserver_request_total{{component="apiserver",{pods},verb="GET",version="v1",dry_run="",code="404"}}' in text
    )


async def test_metrics_tell_of_requests_controllers_and_scheduling(cluster: Any) -> None:
    await cluster.ask("GET", "/api/v1/pods")
    reconciled = b'controller_runtime_reconcile_total{controller="namespace",result="success"}'
    async with asyncio.timeout(60):
        while reconciled not in (answer := await cluster.ask("GET", "/metrics")).body:
            pass  # the server shares this loop: each turn lets it work
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    for name in (
        'apiserver_request_total{component="apiserver",group="",resource="pods",scope="cluster"',
        'workqueue_depth{name="namespace"}',
        'workqueue_adds_total{name="namespace"}',
        "workqueue_queue_duration_seconds_bucket",
        "apiserver_admission_controller_admission_duration_seconds_bucket",
        'apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="false",type="admit"}',
        'etcd_request_duration_seconds_count{group="",operation="create",resource="namespaces"}',
        "etcd_requests_total",
        'apiserver_client_certificate_expiration_seconds_bucket{le="604800"}',
        'apiserver_flowcontrol_dispatched_requests_total{flow_schema="exempt",priority_level="exempt"}',
        "apiserver_flowcontrol_current_limit_seats",
        'scheduler_pending_pods{queue="active"} 0',
        "process_resident_memory_bytes",
    ):
        assert any(line.startswith(name) for line in lines), name
