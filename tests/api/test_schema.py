"""Decoding by the published schema: what Go's decoder and encoder together make of JSON."""

import re
from typing import Any

import pytest

from pylet.api import schema
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.schema import operations

POD = "io.k8s.api.core.v1.Pod"
DEPLOYMENT = "io.k8s.api.apps.v1.Deployment"
SECRET = "io.k8s.api.core.v1.Secret"


def container(**fields: Any) -> Object:
    return {"spec": {"containers": [{"name": "a", **fields}]}}


@pytest.mark.parametrize(
    ("definition", "written", "kept"),
    [
        pytest.param(POD, container(image=None), container(), id="null is absent"),
        pytest.param(POD, container(image=""), container(), id="an omitted zero goes"),
        pytest.param(POD, {"spec": {"hostNetwork": False}}, {"spec": {}}, id="false goes where Go omits it"),
        pytest.param(
            POD,
            {"spec": {"automountServiceAccountToken": False, "priority": 0}},
            {"spec": {"automountServiceAccountToken": False, "priority": 0}},
            id="a pointer's zero stays",
        ),
        pytest.param(POD, {"metadata": {"labels": {}}}, {"metadata": {}}, id="an empty map goes"),
        pytest.param(
            POD, {"metadata": {"labels": {"a": None}}}, {"metadata": {"labels": {"a": ""}}}, id="null in a map"
        ),
        pytest.param(POD, container(args=["x", None]), container(args=["x", ""]), id="null in a list"),
        pytest.param(
            POD, {"metadata": {"creationTimestamp": None}}, {"metadata": {}}, id="no creation time is no field"
        ),
        pytest.param(
            POD,
            container(resources={"limits": {"cpu": 0.5, "memory": "1024Mi"}}),
            container(resources={"limits": {"cpu": "500m", "memory": "1Gi"}}),
            id="quantities take one spelling",
        ),
        pytest.param(DEPLOYMENT, {"spec": {"replicas": 2.0}}, {"spec": {"replicas": 2}}, id="a whole number is one"),
        pytest.param(DEPLOYMENT, {"spec": {"replicas": 0}}, {"spec": {"replicas": 0}}, id="zero replicas are set"),
        pytest.param(
            POD,
            {"metadata": {"managedFields": [{"fieldsV1": {"f:spec": {}}}]}},
            {"metadata": {"managedFields": [{"fieldsV1": {"f:spec": {}}}]}},
            id="untyped JSON is left alone",
        ),
    ],
)
def test_canonical(definition: str, written: Object, kept: Object) -> None:
    assert schema.of(definition).decode(written) == []
    assert written == kept


def test_unknown_fields_go_and_are_named() -> None:
    written = {"foo": 1, "spec": {"bar": 2, "containers": [{"name": "a"}, {"name": "b", "ports": [{"x": 1}]}]}}
    found = schema.of(POD).decode(written)
    assert found == ["foo", "spec.bar", "spec.containers[1].ports[0].x"]
    assert written == {"spec": {"containers": [{"name": "a"}, {"name": "b", "ports": [{}]}]}}


@pytest.mark.parametrize(
    ("definition", "written", "says"),
    [
        pytest.param(
            DEPLOYMENT,
            {"spec": {"replicas": "x"}},
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            id="a string for a number",
        ),
        pytest.param(
            DEPLOYMENT,
            {"spec": {"replicas": 3_000_000_000}},
            "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
            id="a number past 32 bits",
        ),
        pytest.param(
            DEPLOYMENT,
            {"spec": {"replicas": 1.5}},
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            id="a fraction",
        ),
        pytest.param(
            POD,
            container(env=[{"name": "A", "value": 1}]),
            "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
            id="a number for a string, without indices",
        ),
        pytest.param(
            POD,
            {"metadata": {"labels": {"a": 1}}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            id="a number in a map of strings",
        ),
        pytest.param(
            POD,
            {"spec": {"containers": {}}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
            id="an object for a list",
        ),
        pytest.param(
            POD,
            {"spec": {"restartPolicy": True}},
            "json: cannot unmarshal bool into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
            id="a named string type",
        ),
        pytest.param(SECRET, {"data": {"a": "?"}}, "illegal base64 data at input byte 0", id="no base64"),
        pytest.param(
            POD,
            container(resources={"limits": {"cpu": "1x"}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            id="no quantity",
        ),
    ],
)
def test_mismatch_in_gos_words(definition: str, written: Object, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        schema.of(definition).decode(written)


def test_schemas_that_may_be_something_else_are_canonical_too() -> None:
    """Protobuf names every field of them, and what clients find published must not."""
    empty: Object = {"format": "", "uniqueItems": False}
    props: Object = {
        "items": {**empty, "type": "array", "items": [{**empty, "type": "string"}]},
        "additionalItems": False,
        "additionalProperties": {**empty, "unheard": 1},
        "dependencies": {"a": ["b"], "c": dict(empty)},
    }
    definition = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    assert schema.of(definition).decode(props) == []
    assert props == {
        "items": {"type": "array", "items": [{"type": "string"}]},
        "additionalItems": False,
        "additionalProperties": {},
        "dependencies": {"a": ["b"], "c": {}},
    }


def test_walk_for_patches() -> None:
    spec = schema.of(POD).child("spec")
    assert spec is not None
    containers = spec.child("containers")
    assert containers is not None
    assert (containers.merge_key, containers.patch_strategy, containers.list_type) == ("name", ("merge",), "map")
    assert containers.map_keys == ("name",)
    assert containers.items is not None
    ports = containers.items.child("ports")
    assert ports is not None
    assert (ports.merge_key, ports.map_keys) == ("containerPort", ("containerPort", "protocol"))
    volumes = spec.child("volumes")
    assert volumes is not None
    assert volumes.patch_strategy == ("merge", "retainKeys")
    selector = schema.of(DEPLOYMENT).child("spec").child("selector")  # type: ignore[union-attr]
    assert selector is not None
    assert selector.map_type == "atomic"
    assert spec.child("nothing") is None


def test_deep_nesting_is_refused() -> None:
    nested: Object = {}
    for _ in range(900):
        nested = {"properties": {"a": nested}}
    crd = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
    written = {"spec": {"versions": [{"schema": {"openAPIV3Schema": nested}}]}}
    with pytest.raises(ValueError, match="exceeded max depth"):
        schema.of(crd).decode(written)


def test_every_kinds_definition_compiles() -> None:
    from pylet.api import kinds

    for kind in kinds.all_kinds():
        obj: Object = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": {"name": "a"}}
        assert schema.of(kind.definition).decode(obj) == []
        schema.default(kind.definition, obj)


def test_openapi_components_bring_what_they_refer_to_along() -> None:
    from pylet.api.schema.openapi import components

    found = components(["io.k8s.api.core.v1.ContainerPort", "io.k8s.api.core.v1.HTTPGetAction"])
    assert list(found) == [
        "io.k8s.api.core.v1.ContainerPort",
        "io.k8s.api.core.v1.HTTPGetAction",
        "io.k8s.api.core.v1.HTTPHeader",
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    ]
    port = found["io.k8s.api.core.v1.HTTPGetAction"]["properties"]["port"]
    assert port["allOf"] == [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.util.intstr.IntOrString"}]
    assert port["description"].startswith("Name or number of the port")
    assert found["io.k8s.api.core.v1.ContainerPort"]["description"]


@pytest.mark.parametrize(
    ("group", "name"), [("core.api.k8s.io", "io.k8s.api.core.v1.Pod_v2"), ("ex.com", "com.ex.v1.Pod")]
)
def test_a_custom_kind_takes_no_definitions_name(group: str, name: str) -> None:
    assert operations.definition_of(Kind(group, "v1", "Pod", "pods", "")) == name
