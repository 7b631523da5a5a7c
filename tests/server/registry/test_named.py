"""What a patch makes of an object's kind and apiVersion is refused, or decoded, as upstream's patches are."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pylet.api.errors import Invalid
from pylet.api.kind import Kind
from pylet.api.kinds.apiservice import KIND as API_SERVICE
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.event_v1 import KIND as EVENT
from pylet.api.kinds.horizontalpodautoscaler_v1 import KIND as AUTOSCALER
from pylet.api.object import Object
from pylet.server.registry import named

_LEGACY = 'in scheme "pkg/api/legacyscheme/scheme.go:30"'
_OWN = 'in scheme "k8s.io/kube-aggregator/pkg/apiserver/scheme/scheme.go:28"'
_UNREADABLE = "couldn't get version/kind; json parse error: json: cannot unmarshal"


def _object(kind: Kind, said: Object) -> Object:
    obj = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "x"}} | said
    return {name: value for name, value in obj.items() if value != "-"}


@pytest.mark.parametrize(
    ("kind", "said", "why"),
    [
        (CONFIG_MAP, {"kind": 5}, f"{_UNREADABLE} number into Go struct field .kind of type string"),
        (CONFIG_MAP, {"apiVersion": []}, f"{_UNREADABLE} array into Go struct field .apiVersion of type string"),
        (CONFIG_MAP, {"apiVersion": "a/b/c"}, "unexpected GroupVersion string: a/b/c"),
        (CONFIG_MAP, {"apiVersion": "apps/"}, "Object 'apiVersion' is missing in '{…}'"),
        (CONFIG_MAP, {"kind": "Nope"}, f'no kind "Nope" is registered for version "v1" {_LEGACY}'),
        (CONFIG_MAP, {"apiVersion": "v2"}, f'no kind "ConfigMap" is registered for version "v2" {_LEGACY}'),
        (DEPLOYMENT, {"apiVersion": "/v1"}, f'no kind "Deployment" is registered for version "v1" {_LEGACY}'),
        (CONFIG_MAP, {"kind": "Secret"}, "converting (v1.Secret) to (core.ConfigMap): unknown conversion"),
        (CONFIG_MAP, {"kind": "List"}, "converting (v1.List) to (core.ConfigMap): unknown conversion"),
        (CONFIG_MAP, {"kind": "Status"}, "converting (v1.Status) to (core.ConfigMap): unknown conversion"),
        (DEPLOYMENT, {"kind": "DeploymentList"}, "converting (v1.DeploymentList) to (apps.Deployment): unknown conv…"),
        (DEPLOYMENT, {"kind": "DeleteOptions"}, "converting (v1.DeleteOptions) to (apps.Deployment): unknown conv…"),
        (EVENT, {"kind": "Secret", "apiVersion": "v1"}, "converting (v1.Secret) to (core.Event): unknown conversion"),
        (
            DEPLOYMENT,
            {"kind": "DaemonSet", "apiVersion": ""},
            "converting (apps.DaemonSet) to (apps.Deployment): unknown conversion",
        ),
        (
            DEPLOYMENT,
            {"kind": "Secret", "apiVersion": ""},
            f'no kind "Secret" is registered for the internal version of group "apps" {_LEGACY}',
        ),
        (
            EVENT,
            {"kind": "DaemonSet", "apiVersion": ""},
            f'no kind "DaemonSet" is registered for the internal version of group "" {_LEGACY}',
        ),
        (
            API_SERVICE,
            {"kind": "Secret", "apiVersion": "v1"},
            f'no kind "Secret" is registered for version "v1" {_OWN}',
        ),
        (
            CONFIG_MAP,
            {"apiVersion": "", "name": 5},
            "json: cannot unmarshal number into Go struct field ConfigMap.ObjectMeta.name of type string",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_is_none_of_the_kind_any_more(kind: Kind, said: Object, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why.removesuffix("…"))):
        named.decoded(kind, _object(kind, said), {}, "{…}")


@pytest.mark.parametrize(
    "said",
    [{"kind": "-"}, {"kind": ""}, {"kind": None}, {"apiVersion": "/v1"}, {}],
    ids=["no kind", "an empty kind", "a null kind", "the core group by its slash", "all of it"],
)
def test_what_is_of_the_kind_still(said: Object) -> None:
    obj, unknown = named.decoded(CONFIG_MAP, _object(CONFIG_MAP, {"bogus": 1, **said}), {}, "")
    assert (obj, unknown) == (_object(CONFIG_MAP, {}), ["bogus"])


@pytest.mark.parametrize("version", ["-", "", None, "/", "__internal"])
def test_upstream_s_internal_structs_have_no_fields_but_those_of_metadata(version: Any) -> None:
    said = {"apiVersion": version, "data": {"a": "b"}, "name": "y"}
    obj, unknown = named.decoded(CONFIG_MAP, _object(CONFIG_MAP, said), {}, "")
    assert obj == {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "y"}}
    assert sorted(unknown) == ["data", "metadata"]


def test_another_version_of_the_kind_is_converted() -> None:
    target = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}
    target["resource"]["target"]["averageUtilization"] = 50  # type: ignore[index]
    said = {"apiVersion": "autoscaling/v2", "spec": {"maxReplicas": 2, "metrics": [target]}}
    obj, _ = named.decoded(AUTOSCALER, _object(AUTOSCALER, said), {}, "")
    assert obj["apiVersion"] == "autoscaling/v1"
    assert obj["spec"]["targetCPUUtilizationPercentage"] == 50


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"kind": []}, f"{_UNREADABLE} array into Go struct field .kind of type string"),
        ({"kind": None}, "Object 'Kind' is missing in '{…}'"),
        ({"apiVersion": "a/b/c"}, "unexpected GroupVersion string: a/b/c"),
        ({"apiVersion": None}, ".apiVersion accessor error: <nil> is of the type <nil>, expected string"),
    ],
    ids=["a list", "no kind", "two slashes", "null"],
)
def test_what_says_of_no_custom_resource_what_it_is(said: Object, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        named.check_custom(DEPLOYMENT, _object(DEPLOYMENT, said), "x", "{…}")


def test_a_custom_resource_that_says_it_is_another_is_told_all_that_is_wrong() -> None:
    with pytest.raises(Invalid) as refused:
        named.check_custom(DEPLOYMENT, _object(DEPLOYMENT, {"apiVersion": "/v1", "kind": "Secret"}), "x", "")
    assert refused.value.details is not None
    assert (refused.value.details.get("group"), refused.value.details["kind"]) == (None, "Secret")
    assert [str(cause) for cause in refused.value.causes] == [
        'kind: Invalid value: "Secret": must be Deployment',
        'apiVersion: Invalid value: "v1": must be apps/v1',
    ]
