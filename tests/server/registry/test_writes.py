"""Create, update and patch: what the server fills in, keeps, refuses, and does not write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pylet.api.kinds.configmap import KIND as CONFIGMAP
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.endpoints import KIND as ENDPOINTS
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Object
from pylet.client.interface import PatchType
from tests.server.kit import Api, configmap, pod, refused

STALE = (
    'Operation cannot be fulfilled on configmaps "x": the object has been modified; '
    "please apply your changes to the latest version and try again"
)


async def test_create_fills_in_what_only_the_server_knows(api: Api) -> None:
    made = await api.create(
        configmap("x") | {"metadata": {"name": "x", "namespace": "a", "uid": "mine", "managedFields": []}}
    )
    meta = made["metadata"]
    assert meta["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert meta["uid"] not in ("", "mine")
    assert int(meta["resourceVersion"]) == api.registry.revision
    assert await api.get(CONFIGMAP, "a", "x") == made


async def test_a_name_is_generated_from_its_prefix(api: Api) -> None:
    made = await api.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x" * 70, "namespace": "a"}}
    )
    name = made["metadata"]["name"]
    assert name.startswith("x" * 58)
    assert len(name) == 63


async def test_what_etcd_would_not_take_is_not_kept(api: Api) -> None:
    large = configmap("x", **{f"k{n}": "\x01" * 90_000 for n in range(6)})
    status = await refused(api.create(large))
    assert (status["code"], status["message"]) == (500, "etcdserver: request is too large")
    assert await api.create(large, dry_run=True)


async def test_a_refusal_stays_small(api: Api) -> None:
    made = configmap("x")
    made["metadata"]["labels"] = {f"-{number}": "" for number in range(30_000)}
    status = await refused(api.create(made))
    assert status["code"] == 422
    assert 1_000 < len(status["details"]["causes"]) < 20_000


@pytest.mark.parametrize(
    ("meta", "code", "message"),
    [
        pytest.param({"name": "x"}, 409, 'configmaps "x" already exists', id="a name that is taken"),
        pytest.param(
            {},
            422,
            'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
            id="no name at all",
        ),
        pytest.param(
            {"name": "a/b"},
            422,
            None,
            id="a slash",
        ),
        pytest.param({"name": "y", "labels": {"a b": "c"}}, 422, None, id="a label key with a space"),
        pytest.param(
            {"name": "y", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]},
            422,
            'ConfigMap "y" is invalid: metadata.ownerReferences.uid: Invalid value: "": must not be empty',
            id="an owner without uid",
        ),
        pytest.param(
            {"name": "y", "finalizers": ["orphan", "foregroundDeletion"]},
            422,
            'ConfigMap "y" is invalid: metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: '
            "finalizer orphan and foregroundDeletion cannot be both set",
            id="two finalizers that exclude each other",
        ),
        pytest.param(
            {"name": "y", "namespace": "none"}, 404, 'namespaces "none" not found', id="a namespace that is not there"
        ),
        pytest.param(
            {"name": "y", "resourceVersion": "7"},
            400,
            "resourceVersion should not be set on objects to be created",
            id="a version of what is not there",
        ),
        pytest.param(
            {"name": "y", "namespace": "none", "resourceVersion": "7"},
            404,
            'namespaces "none" not found',
            id="a version, of which admission hears first",
        ),
    ],
)
async def test_create_refuses(api: Api, meta: Object, code: int, message: str | None) -> None:
    await api.create(configmap("x"))
    status = await refused(api.create(configmap("") | {"metadata": {"namespace": "a", **meta}}))
    assert status["code"] == code
    assert message is None or status["message"] == message


async def test_an_owner_is_kept_once(api: Api) -> None:
    one, two = ({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid} for uid in ("u1", "u2"))
    warnings: list[str] = []
    obj = configmap("x")
    obj["metadata"]["ownerReferences"] = [one, two, one, one]
    made = await api.create(obj, warnings=warnings)
    assert made["metadata"]["ownerReferences"] == [one, two]
    (warning,) = warnings
    assert warning.endswith("duplicate UID(s) observed: u1, u1")


async def test_a_prefix_of_no_name_is_told_beside_the_name_made_of_it(api: Api) -> None:
    status = await refused(api.create(configmap("") | {"metadata": {"namespace": "a", "generateName": "A_"}}))
    assert [cause["field"] for cause in status["details"]["causes"]] == ["metadata.generateName", "metadata.name"]


async def test_update_without_version_wins_and_with_an_old_one_loses(api: Api) -> None:
    first = await api.create(configmap("x", k="1"))
    second = await api.update(configmap("x", k="2"))
    assert second["data"] == {"k": "2"}
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["metadata"]["creationTimestamp"] == first["metadata"]["creationTimestamp"]
    status = await refused(api.update(first | {"data": {"k": "3"}}))
    assert (status["code"], status["reason"], status["message"]) == (409, "Conflict", STALE)


async def test_a_write_that_changes_nothing_writes_nothing(api: Api) -> None:
    made = await api.create(configmap("x", k="1"))
    before = api.registry.revision
    assert await api.update(made) == made
    assert await api.update(configmap("x", k="1")) == made
    assert await api.patch(CONFIGMAP, "a", "x", {"data": {"k": "1"}}) == made
    assert api.registry.revision == before


async def test_what_is_wrong_with_a_new_objects_metadata_is_told_first(api: Api) -> None:
    made = pod("x", containers=[{"name": "A_", "image": "i"}])
    made["metadata"]["labels"] = {"a": "b c"}
    causes = (await refused(api.create(made)))["details"]["causes"]
    assert [cause["field"] for cause in causes] == ["metadata.labels", "spec.containers[0].name"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"uid": "other"}, "Precondition failed: UID in precondition: other", id="another uid"),
        pytest.param({"name": "other"}, "does not match the name on the URL (x)", id="another name"),
        pytest.param({"namespace": "b"}, "does not match the namespace sent on the request", id="another namespace"),
        pytest.param({"deletionTimestamp": "2026-01-02T03:04:05Z"}, "field is immutable", id="a deletion of one's own"),
    ],
)
async def test_what_an_update_cannot_change(api: Api, change: Object, message: str) -> None:
    made = await api.create(configmap("x"))
    request = api.request("update", CONFIGMAP, "a", "x")
    status = await refused(api.registry.update(request, made | {"metadata": made["metadata"] | change}))
    assert message in status["message"]


async def test_update_of_what_is_not_there(api: Api) -> None:
    assert (await refused(api.update(configmap("x"))))["message"] == 'configmaps "x" not found'
    service = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e", "namespace": "a"}}
    assert (await api.update(service))["metadata"]["uid"]


async def test_a_lease_is_updated_with_its_version_only(api: Api) -> None:
    lease = {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": {"name": "l", "namespace": "a"}, "spec": {}}
    await api.create(lease)
    status = await refused(api.update(lease | {"spec": {"holderIdentity": "me"}}))
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in status["message"]


@pytest.mark.parametrize(
    ("patch", "type_", "data"),
    [
        pytest.param({"data": {"b": "2", "a": None}}, PatchType.MERGE, {"b": "2"}, id="merge"),
        pytest.param({"data": {"b": "2"}}, PatchType.STRATEGIC, {"a": "1", "b": "2"}, id="strategic"),
        pytest.param([{"op": "add", "path": "/data/b", "value": "2"}], PatchType.JSON, {"a": "1", "b": "2"}, id="json"),
    ],
)
async def test_patches(api: Api, patch: Any, type_: PatchType, data: Object) -> None:
    await api.create(configmap("x", a="1"))
    assert (await api.patch(CONFIGMAP, "a", "x", patch, type_))["data"] == data


async def test_patches_that_are_refused(api: Api) -> None:
    await api.create(configmap("x", a="1"))
    failed = await refused(
        api.patch(CONFIGMAP, "a", "x", [{"op": "test", "path": "/data/a", "value": "2"}], PatchType.JSON)
    )
    assert failed["code"] == 422
    stale = await refused(api.patch(CONFIGMAP, "a", "x", {"metadata": {"resourceVersion": "1"}}))
    assert stale["message"] == STALE
    unknown = await refused(api.patch(CONFIGMAP, "a", "x", {"dtaa": {}}, field_validation="Strict"))
    assert 'strict decoding error: unknown field "dtaa"' in unknown["message"]
    for field, value, word in (("kind", 5, "number"), ("kind", {}, "object"), ("apiVersion", [], "array")):
        untyped = await refused(api.patch(CONFIGMAP, "a", "x", {field: value}))
        says = f"json parse error: json: cannot unmarshal {word} into Go struct field .{field} of type string"
        assert untyped["message"].endswith(f"couldn't get version/kind; {says}")
    deeper = [{"op": "add", "path": "/data" + "/b" * depth, "value": {}} for depth in range(1, 300)]
    deep = await refused(api.patch(CONFIGMAP, "a", "x", deeper, PatchType.JSON))
    assert (deep["code"], "exceeded max depth" in deep["message"]) == (400, True)
    missing = await refused(api.patch(CONFIGMAP, "a", "y", {}))
    assert missing["code"] == 404


async def test_racing_patches_all_arrive(api: Api) -> None:
    await api.create(configmap("x"))
    await asyncio.gather(*(api.patch(CONFIGMAP, "a", "x", {"data": {f"k{i}": "v"}}) for i in range(20)))
    assert len((await api.get(CONFIGMAP, "a", "x"))["data"]) == 20


async def test_dry_run_answers_as_if_and_stores_nothing(api: Api) -> None:
    before = api.registry.revision
    assert (await api.create(configmap("x"), dry_run=True))["metadata"]["uid"]
    made = await api.create(configmap("y", a="1"))
    assert (await api.patch(CONFIGMAP, "a", "y", {"data": {"a": "2"}}, dry_run=True))["data"] == {"a": "2"}
    await api.delete(CONFIGMAP, "a", "y", dry_run=True)
    assert await api.get(CONFIGMAP, "a", "y") == made
    assert api.registry.revision == before + 1


async def test_scale_shows_and_sets_replicas(api: Api) -> None:
    labels = {"app": "w"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": "w", "namespace": "a"}
    await api.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    shown = await api.get(DEPLOYMENT, "a", "w", subresource="scale")
    assert (shown["kind"], shown["spec"], shown["status"]["selector"]) == ("Scale", {"replicas": 2}, "app=w")
    scaled = await api.patch(DEPLOYMENT, "a", "w", {"spec": {"replicas": 5}}, subresource="scale")
    assert scaled["spec"]["replicas"] == 5
    assert (await api.get(DEPLOYMENT, "a", "w"))["spec"]["replicas"] == 5
    status = await refused(api.patch(DEPLOYMENT, "a", "w", {"spec": {"replicas": -1}}, subresource="scale"))
    assert "spec.replicas: Invalid value: -1: must be greater than or equal to 0" in status["message"]


async def test_binding_puts_a_pod_on_a_node_once(api: Api) -> None:
    await api.create(pod("p"))
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p", "namespace": "a"},
        "target": {"kind": "Node", "name": "n1"},
    }
    assert (await api.create(binding, name="p", subresource="binding"))["status"] == "Success"
    bound = await api.get(POD, "a", "p")
    assert bound["spec"]["nodeName"] == "n1"
    assert [(c["type"], c["status"]) for c in bound["status"]["conditions"]] == [("PodScheduled", "True")]
    again = await refused(api.create(binding, name="p", subresource="binding"))
    assert again["code"] == 409
    assert again["message"].endswith('pod p is already assigned to node "n1"')


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (
            {"resourceVersion": "1"},
            "Precondition failed: ResourceVersion in precondition: 1, ResourceVersion in object",
        ),
        ({"uid": "other"}, "Precondition failed: UID in precondition: other, UID in object meta: "),
    ],
    ids=["another version", "another pod"],
)
async def test_a_binding_may_ask_for_one_pod_as_it_is(api: Api, asked: Object, why: str) -> None:
    meta = (await api.create(pod("p")))["metadata"]
    binding = {"apiVersion": "v1", "kind": "Binding", "target": {"kind": "Node", "name": "n1"}}
    named = {"name": "p", "namespace": "a"}
    status = await refused(api.create({**binding, "metadata": {**named, **asked}}, name="p", subresource="binding"))
    assert status["code"] == 409
    assert why in status["message"]
    as_it_is = {**named, "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    await api.create({**binding, "metadata": as_it_is}, name="p", subresource="binding")


async def test_eviction_marks_and_deletes(api: Api) -> None:
    await api.create(pod("p", nodeName="n1"))
    assert (await api.create(eviction("p"), name="p", subresource="eviction"))["status"] == "Success"
    evicted = await api.get(POD, "a", "p")
    assert evicted["metadata"]["deletionGracePeriodSeconds"] == 30
    (condition,) = evicted["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("DisruptionTarget", "EvictionByEvictionAPI")
    other = await refused(api.create(eviction("p"), name="q", subresource="eviction"))
    assert other["message"] == "name in URL does not match name in Eviction object"


def eviction(name: str, **options: Any) -> Object:
    meta = {"name": name, "namespace": "a"}
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta, "deleteOptions": options}


async def running_pod(api: Api, name: str, *, ready: str = "True", **labels: str) -> None:
    obj = pod(name, nodeName="n1")
    obj["metadata"]["labels"] = labels
    await api.create(obj)
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
    await api.patch(POD, "a", name, {"status": status}, subresource="status")


async def test_an_eviction_spends_of_its_budget(api: Api) -> None:
    for name in ("p", "q"):
        await running_pod(api, name, app="web")
    await running_pod(api, "unready", ready="False", app="web")
    await running_pod(api, "free", app="other")
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    meta = {"name": "b", "namespace": "a"}
    await api.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec})
    status = {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1}
    await api.patch(BUDGET, "a", "b", {"status": {**status, "expectedPods": 3}}, subresource="status")
    stale = eviction("unready", preconditions={"resourceVersion": "1"})
    assert (await refused(api.create(stale, name="unready", subresource="eviction")))["code"] == 409
    for name, left in (("free", 1), ("unready", 1), ("p", 0)):
        assert (await api.create(eviction(name), name=name, subresource="eviction"))["status"] == "Success"
        assert "deletionTimestamp" in (await api.get(POD, "a", name))["metadata"]
        assert (await api.get(BUDGET, "a", "b"))["status"]["disruptionsAllowed"] == left
    assert (await api.get(BUDGET, "a", "b"))["status"]["disruptedPods"] == {"p": "2026-01-02T03:04:05Z"}
    assert (await refused(api.create(eviction("q"), name="q", subresource="eviction")))["code"] == 429
    assert "deletionTimestamp" not in (await api.get(POD, "a", "q"))["metadata"]


async def test_a_status_write_changes_status_and_labels_only(api: Api) -> None:
    await api.create(pod("p"))
    change = {"metadata": {"annotations": {"a": "b"}}, "spec": {"priority": 9}, "status": {"phase": "Running"}}
    after = await api.patch(POD, "a", "p", change, subresource="status")
    assert (after["status"]["phase"], after["metadata"]["annotations"]) == ("Running", {"a": "b"})
    assert after["spec"]["priority"] == 0
    assert after["metadata"]["generation"] == 1


async def test_a_merge_patch_is_told_of_the_first_wrong_type_by_its_field_s_name(api: Api) -> None:
    await api.create(configmap("x"))
    status = await refused(api.patch(CONFIGMAP, "a", "x", {"immutable": 5, "data": {"b": 5, "a": True}}))
    assert status["message"].endswith("cannot unmarshal bool into Go struct field ConfigMap.data of type string")


async def test_a_write_that_changes_nothing_is_warned_of_as_any_other(api: Api) -> None:
    meta = {"name": "s", "namespace": "a"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/tls"}
    await api.create(secret | {"data": {"tls.crt": "aGk=", "tls.key": "aGk="}})
    request = api.request("patch", SECRET, "a", "s")
    await api.registry.patch(request, {}, PatchType.MERGE)
    assert request.warnings == ["tls: failed to find any PEM data in certificate input"]


async def test_a_put_can_create_some_kinds_under_its_own_name_only(api: Api) -> None:
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e", "namespace": "a"}}
    request = api.request("update", ENDPOINTS, "a", "f")
    status = await refused(api.registry.update(request, endpoints))
    assert status["message"] == "the name of the object (e) does not match the name on the URL (f)"
    made = await api.update({**endpoints, "metadata": {**endpoints["metadata"], "resourceVersion": "5"}})
    assert made["metadata"]["resourceVersion"] != "5"
    await api.delete(ENDPOINTS, "a", "e")
    endpoints["metadata"]["uid"] = "lost"
    status = await refused(api.update(endpoints))
    assert status["message"].endswith("Precondition failed: UID in precondition: lost, UID in object meta: ")


@pytest.mark.parametrize(
    ("subresource", "change", "field"),
    [
        (
            "resize",
            {"containers": [{"name": "c", "image": "evil", "resources": {"limits": {"cpu": "2"}}}]},
            "limits",
        ),
        ("ephemeralcontainers", {"ephemeralContainers": [{"name": "d", "image": "debug"}]}, "ephemeralContainers"),
    ],
)
async def test_a_pods_subresources_change_their_own_part_only(
    api: Api, subresource: str, change: Object, field: str
) -> None:
    resources = {"requests": {"cpu": "1"}}
    made = await api.create(pod("p", containers=[{"name": "c", "image": "i", "resources": resources}]))
    patch = {"spec": {"hostNetwork": True, **change}}
    after = await api.patch(POD, "a", "p", patch, PatchType.STRATEGIC, subresource=subresource)
    assert after["metadata"]["generation"] == 2
    assert "hostNetwork" not in after["spec"]
    assert after["spec"]["containers"][0]["image"] == made["spec"]["containers"][0]["image"]
    assert f'"{field}":' in str(after).replace("'", '"')
