"""managedFields on the write path. What is expected was seen at a kube-apiserver v1.36.2."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.configmap import KIND as CONFIGMAP
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.endpointslice import KIND as SLICE
from pylet.api.kinds.volumeattachment import KIND as ATTACHMENT
from pylet.api.object import Object
from pylet.client.interface import PatchType
from tests.server.kit import Api, configmap, refused

MERGE, APPLY = PatchType.MERGE, PatchType.APPLY


def owners(obj: Object) -> dict[str, Any]:
    """Each manager's fields; the manager's name bears operation and subresource where they are not Update and ""."""
    found = {}
    for entry in obj["metadata"].get("managedFields", ()):
        extra = [entry["operation"]] if entry["operation"] != "Update" else []
        extra += [entry["subresource"]] if "subresource" in entry else []
        found[" ".join([entry["manager"], *extra])] = entry["fieldsV1"]
    return found


def config(name: str = "x", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(**spec: Any) -> Object:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "a"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec},
    }


async def apply(api: Api, patch: Object, manager: str = "ap", **options: Any) -> Object:
    return await api.patch(CONFIGMAP, "a", patch["metadata"]["name"], patch, APPLY, field_manager=manager, **options)


async def test_every_writer_has_an_entry(api: Api) -> None:
    made = await api.create(configmap("x", a="1"), field_manager="one")
    entry = made["metadata"]["managedFields"][0]
    assert list(entry) == ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"]
    assert entry["time"] == "2026-01-02T03:04:05Z"
    changed = await api.patch(CONFIGMAP, "a", "x", {"data": {"b": "1"}}, field_manager="two")
    assert owners(changed) == {"one": {"f:data": {".": {}, "f:a": {}}}, "two": {"f:data": {"f:b": {}}}}


def slice_() -> Object:
    meta = {"name": "s", "namespace": "a", "labels": {}}
    empty: Object = {"endpoints": [], "ports": []}
    return {"kind": SLICE.name, "apiVersion": SLICE.api_version, "metadata": meta, "addressType": "IPv4", **empty}


async def test_a_list_that_is_printed_is_owned_though_it_is_empty_and_belongs_to_who_writes_it_so(api: Api) -> None:
    made = await api.create(slice_(), field_manager="one")
    assert made["endpoints"] is made["ports"] is None
    assert owners(made) == {"one": {"f:addressType": {}, "f:endpoints": {}, "f:ports": {}}}
    changed = await api.update(slice_(), field_manager="two")
    assert owners(changed) == {"one": {"f:addressType": {}}, "two": {"f:endpoints": {}, "f:ports": {}}}


async def test_apply_creates_changes_and_unsets(api: Api) -> None:
    made = await apply(api, config(a="1", b="1"))
    assert owners(made) == {"ap Apply": {"f:data": {"f:a": {}, "f:b": {}}}}
    changed = await apply(api, config(a="2"))
    assert changed["data"] == {"a": "2"}
    assert await apply(api, config(a="2")) == changed
    assert (await api.get(CONFIGMAP, "a", "x")) == changed


async def test_apply_in_a_dry_run_stores_nothing(api: Api) -> None:
    await apply(api, config(a="1"), dry_run=True)
    assert await api.names(CONFIGMAP, "a") == []
    await apply(api, config(a="1"))
    dry = await apply(api, config(a="2"), dry_run=True)
    assert dry["data"] == {"a": "2"}
    assert (await api.get(CONFIGMAP, "a", "x"))["data"] == {"a": "1"}


async def test_conflicts_and_force(api: Api) -> None:
    await api.create(configmap("x", a="1"), field_manager="one")
    status = await refused(apply(api, config(a="2")))
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "one" using v1: .data.a'
    taken = await apply(api, config(a="2"), force=True)
    assert owners(taken) == {"ap Apply": {"f:data": {"f:a": {}}}, "one": {"f:data": {}}}


@pytest.mark.parametrize(
    ("patch", "code", "message"),
    [
        pytest.param({"kind": "ConfigMap"}, 400, "invalid object type: /, Kind=ConfigMap", id="version"),
        pytest.param(config() | {"kind": "Secret"}, 400, "invalid object type: /v1, Kind=Secret", id="kind"),
        pytest.param(
            config() | {"metadata": {"name": "x", "managedFields": []}},
            400,
            "metadata.managedFields must be nil",
            id="managedFields",
        ),
        pytest.param(
            config() | {"foo": 1},
            500,
            "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .foo: field not declared in schema",
            id="unknown field",
        ),
        pytest.param(
            config() | {"metadata": {"name": "x", "uid": "u"}},
            409,
            'Operation cannot be fulfilled on configmaps "x": uid mismatch: the provided object specified uid u, '
            "and no existing object was found",
            id="uid of what is not there",
        ),
        pytest.param(
            [],
            400,
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go "
            "value of type map[string]interface {}",
            id="no object",
        ),
    ],
)
async def test_configurations_that_are_refused(api: Api, patch: Any, code: int, message: str) -> None:
    status = await refused(api.patch(CONFIGMAP, "a", "x", patch, APPLY, field_manager="ap"))
    assert (status["code"], status["message"]) == (code, message)


async def test_owners_can_be_set_and_reset_by_hand(api: Api) -> None:
    entry = {"manager": "me", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    claimed: Object = entry | {"fieldsV1": {"f:data": {"f:a": {}}}}
    await api.create(configmap("x", a="1"), field_manager="one")
    changed = await api.patch(CONFIGMAP, "a", "x", {"metadata": {"managedFields": [claimed]}})
    assert owners(changed) == {"me Apply": {"f:data": {"f:a": {}}}}
    wrong = await api.patch(CONFIGMAP, "a", "x", {"metadata": {"managedFields": [entry | {"operation": "Frob"}]}})
    assert owners(wrong) == owners(changed)
    reset = await api.patch(CONFIGMAP, "a", "x", {"metadata": {"managedFields": [{}]}})
    assert "managedFields" not in reset["metadata"]
    untracked = await api.patch(CONFIGMAP, "a", "x", {"data": {"b": "1"}}, field_manager="one")
    assert "managedFields" not in untracked["metadata"]
    assert owners(await apply(api, config(c="1"))) == {
        "ap Apply": {"f:data": {"f:c": {}}},
        "before-first-apply": {"f:data": {".": {}, "f:a": {}, "f:b": {}}},
    }


async def test_a_status_is_owned_through_its_subresource_only(api: Api) -> None:
    await api.create(deployment(replicas=2), field_manager="one")
    patch = {"status": {"replicas": 2}, "spec": {"replicas": 9}}
    changed = await api.patch(DEPLOYMENT, "a", "d", patch, subresource="status", field_manager="two")
    assert owners(changed)["two status"] == {"f:status": {"f:replicas": {}}}
    again = await api.patch(DEPLOYMENT, "a", "d", {"status": {"replicas": 3}}, field_manager="three")
    assert owners(again).keys() == {"one", "two status"}


async def test_a_status_that_leaves_metadata_alone_owns_none_of_it(api: Api) -> None:
    spec = {"attacher": "a.b", "nodeName": "n", "source": {"persistentVolumeName": "v"}}
    meta = {"name": "v"}
    await api.create({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": meta, "spec": spec})
    patch = {"metadata": {"labels": {"a": "b"}}, "status": {"attached": True}}
    changed = await api.patch(ATTACHMENT, "", "v", patch, subresource="status", field_manager="two")
    assert "labels" not in changed["metadata"]
    assert owners(changed)["two status"] == {"f:status": {"f:attached": {}}}


async def test_labels_are_owned_through_the_status_of_a_definition(api: Api) -> None:
    """Kubernetes issue 137681: a definition's status changes its metadata too."""
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    spec = {"group": "b.c", "scope": "Cluster", "names": {"plural": "as", "kind": "A"}, "versions": [version]}
    crd = {"apiVersion": DEFINITION.api_version, "kind": DEFINITION.name, "metadata": {"name": "as.b.c"}, "spec": spec}
    await api.create(crd, field_manager="one")
    patch = crd | {"metadata": {"name": "as.b.c", "labels": {"a": "b"}}}
    changed = await api.patch(DEFINITION, "", "as.b.c", patch, APPLY, subresource="status", field_manager="two")
    assert changed["metadata"]["labels"] == {"a": "b"}
    assert owners(changed)["two Apply status"] == {"f:metadata": {"f:labels": {"f:a": {}}}}


async def test_scaling_takes_the_replicas_over(api: Api) -> None:
    await api.create(deployment(replicas=2), field_manager="one")
    scale = await api.patch(
        DEPLOYMENT, "a", "d", {"spec": {"replicas": 5}}, subresource="scale", field_manager="autoscaler"
    )
    assert "managedFields" not in scale["metadata"]
    scaled = await api.get(DEPLOYMENT, "a", "d")
    assert owners(scaled)["autoscaler scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(scaled)["one"]["f:spec"]
    status = await refused(api.patch(DEPLOYMENT, "a", "d", deployment(replicas=3), APPLY, field_manager="ap"))
    who = '"autoscaler" with subresource "scale" using apps/v1'
    assert status["message"] == f"Apply failed with 1 conflict: conflict with {who}: .spec.replicas"


async def test_who_owns_a_wide_object_is_not_noted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """As upstream, where etcd would not take it otherwise."""
    monkeypatch.setattr("pylet.server.registry.ownership._MOST_FIELDS", 20)
    narrow, wide = ({f"k{number}": "" for number in range(count)} for count in (5, 30))
    assert "managedFields" in (await api.create(configmap("c", **narrow)))["metadata"]
    assert "managedFields" not in (await api.update(configmap("c", **wide)))["metadata"]
    assert "managedFields" not in (await api.create(configmap("d", **wide)))["metadata"]
    error = await refused(apply(api, config(**wide)))
    assert error["code"] == 413
