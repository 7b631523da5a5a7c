"""Delete, deletecollection, finalizers, preconditions, graceful deletion, and how a namespace goes."""

from __future__ import annotations

import pytest

from pylet.api.kinds.configmap import KIND as CONFIGMAP
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object
from pylet.server.registry import DeleteOptions, ListOptions
from tests.server.kit import Api, configmap, pod, refused
from tests.waiting import until


async def test_most_kinds_answer_a_status(api: Api) -> None:
    made = await api.create(configmap("x"))
    gone = await api.delete(CONFIGMAP, "a", "x")
    assert gone["status"] == "Success"
    assert gone["details"] == {"name": "x", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert (await refused(api.delete(CONFIGMAP, "a", "x")))["message"] == 'configmaps "x" not found'


async def test_a_finalizer_holds_an_object_until_it_is_gone(api: Api) -> None:
    obj = configmap("x")
    obj["metadata"]["finalizers"] = ["example.com/mine"]
    await api.create(obj)
    await api.delete(CONFIGMAP, "a", "x")
    held = await api.get(CONFIGMAP, "a", "x")
    assert held["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:05Z"
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    more = {"metadata": {"finalizers": ["example.com/mine", "example.com/more"]}}
    assert "no new finalizers can be added" in (await refused(api.patch(CONFIGMAP, "a", "x", more)))["message"]
    assert "object is being deleted" in (await refused(api.create(configmap("x"))))["message"]
    await api.patch(CONFIGMAP, "a", "x", {"metadata": {"finalizers": None}})
    assert (await refused(api.get(CONFIGMAP, "a", "x")))["code"] == 404


@pytest.mark.parametrize(
    ("propagation", "finalizers"),
    [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])],
    ids=["foreground waits for dependents", "orphan waits until they are let go"],
)
async def test_propagation_becomes_a_finalizer(api: Api, propagation: str, finalizers: list[str]) -> None:
    await api.create(configmap("x"))
    await api.delete(CONFIGMAP, "a", "x", propagation=propagation)
    assert (await api.get(CONFIGMAP, "a", "x"))["metadata"]["finalizers"] == finalizers


@pytest.mark.parametrize(
    ("propagation", "finalizers"),
    [
        ("Background", ["example.com/mine"]),
        ("Foreground", ["example.com/mine", "foregroundDeletion"]),
        ("", ["orphan", "example.com/mine"]),
    ],
)
async def test_the_last_word_on_propagation_counts(api: Api, propagation: str, finalizers: list[str]) -> None:
    obj = configmap("x")
    obj["metadata"]["finalizers"] = ["orphan", "example.com/mine"]
    await api.create(obj)
    await api.delete(CONFIGMAP, "a", "x", propagation=propagation)
    assert (await api.get(CONFIGMAP, "a", "x"))["metadata"]["finalizers"] == finalizers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uid": "other"}, "The object might have been deleted and then recreated"),
        ({"revision": "1"}, "The object might have been modified"),
    ],
    ids=["uid", "resourceVersion"],
)
async def test_preconditions(api: Api, options: Object, message: str) -> None:
    await api.create(configmap("x"))
    assert message in (await refused(api.delete(CONFIGMAP, "a", "x", **options)))["message"]


async def test_a_bound_pod_is_given_its_time(api: Api) -> None:
    await api.create(pod("p", nodeName="n1"))
    marked = await api.delete(POD, "a", "p")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:35Z"
    assert (await api.delete(POD, "a", "p"))["metadata"] == marked["metadata"]
    shortened = await api.delete(POD, "a", "p", grace_seconds=5)
    assert shortened["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:10Z"
    await api.delete(POD, "a", "p", grace_seconds=0)
    assert (await refused(api.get(POD, "a", "p")))["code"] == 404


async def test_a_second_is_time_too(api: Api) -> None:
    await api.create(pod("p", nodeName="n1"))
    await api.delete(POD, "a", "p", grace_seconds=1)
    assert (await api.get(POD, "a", "p"))["metadata"]["deletionGracePeriodSeconds"] == 1


async def test_time_that_is_left_is_taken_from_who_waits_for_others_too(api: Api) -> None:
    held = pod("p", nodeName="n1")
    held["metadata"]["finalizers"] = ["example.com/mine"]
    await api.create(held)
    await api.delete(POD, "a", "p")
    ended = (await api.delete(POD, "a", "p", grace_seconds=0))["metadata"]
    assert (ended["deletionTimestamp"], ended["deletionGracePeriodSeconds"]) == ("2026-01-02T03:04:05Z", 0)


@pytest.mark.parametrize("node", ["n1", ""], ids=["bound", "nobody runs"])
async def test_watchers_see_that_a_pod_has_no_more_time_before_it_goes(api: Api, node: str) -> None:
    await api.create(pod("p", **({"nodeName": node} if node else {})))
    seen: list[tuple[str, Object]] = []
    watch = await api.registry.watch(api.request("watch", POD, "a"), ListOptions(revision=str(api.registry.revision)))
    watch.follow(lambda batch: seen.extend((change.type, change.entry.object["metadata"]) for change in batch.changes))
    await api.delete(POD, "a", "p", grace_seconds=0)
    await until(lambda: len(seen) == 2)
    assert [(type_, meta["deletionGracePeriodSeconds"]) for type_, meta in seen] == [("MODIFIED", 0), ("DELETED", 0)]


async def test_a_pod_nobody_runs_goes_at_once(api: Api) -> None:
    await api.create(pod("p"))
    await api.delete(POD, "a", "p")
    assert (await refused(api.get(POD, "a", "p")))["code"] == 404


async def test_deletecollection_takes_what_is_selected(api: Api) -> None:
    for name in "xyz":
        obj = configmap(name)
        obj["metadata"]["labels"] = {"keep": str(name == "z").lower()}
        await api.create(obj)
    request = api.request("deletecollection", CONFIGMAP, "a")
    found = await api.registry.delete_collection(request, ListOptions(labels="keep=false"), DeleteOptions())
    assert [entry.key.name for entry in found.entries] == ["x", "y"]
    assert await api.names(CONFIGMAP, "a") == ["z"]


async def test_a_namespace_terminates_until_it_is_finalized(api: Api) -> None:
    gone = await api.delete(NAMESPACE, "", "a")
    assert gone["status"]["phase"] == "Terminating"
    assert gone["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:05Z"
    refusal = await refused(api.create(configmap("x")))
    assert refusal["message"] == (
        'configmaps "x" is forbidden: unable to create new content in namespace a because it is being terminated'
    )
    assert refusal["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace a is being terminated",
            "field": "metadata.namespace",
        }
    ]
    assert (await api.delete(NAMESPACE, "", "a"))["status"]["phase"] == "Terminating"
    await api.update(gone | {"spec": {"finalizers": []}}, subresource="finalize")
    assert (await refused(api.get(NAMESPACE, "", "a")))["code"] == 404


async def test_a_definition_waits_for_what_it_defined(api: Api) -> None:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    spec = {"group": "b.c", "scope": "Cluster", "names": {"plural": "as", "kind": "A"}, "versions": [version]}
    head = {"apiVersion": DEFINITION.api_version, "kind": DEFINITION.name, "metadata": {"name": "as.b.c"}}
    await api.create({**head, "spec": spec})
    for _ in range(2):  # who asks again changes nothing
        await api.delete(DEFINITION, "", "as.b.c")
        gone = await api.get(DEFINITION, "", "as.b.c")
        assert gone["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:05Z"
        assert gone["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
        assert [found["type"] for found in gone["status"]["conditions"]].count("Terminating") == 1


async def test_the_systems_namespaces_stay(api: Api) -> None:
    await api.namespace("kube-system")
    refusal = await refused(api.delete(NAMESPACE, "", "kube-system"))
    assert refusal["message"] == 'namespaces "kube-system" is forbidden: this namespace may not be deleted'


async def test_asking_again_for_what_waits_for_finalizers_writes_nothing(api: Api) -> None:
    kept = pod("kept")
    kept["metadata"]["finalizers"] = ["example.com/kept"]
    await api.create(kept)
    await api.delete(POD, "a", "kept", grace_seconds=0)
    before = await api.get(POD, "a", "kept")
    assert before["metadata"]["deletionGracePeriodSeconds"] == 0
    await api.delete(POD, "a", "kept", grace_seconds=0)
    assert await api.get(POD, "a", "kept") == before
