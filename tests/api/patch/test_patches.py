from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylet.api import schema
from pylet.api.patch import BadPatch, Failed, TooLarge, Unprocessable, json_patch, merge, strategic

POD = schema.of("io.k8s.api.core.v1.Pod")
DEPLOYMENT = schema.of("io.k8s.api.apps.v1.Deployment")


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        # and what upstream does beyond it
        ({}, {"a": [{"b": None, "c": [{"d": None}]}, None]}, {"a": [{"c": [{}]}, None]}),
        ({"a": [1]}, {"a": [{"b": None}]}, {"a": [{}]}),
        ({"a": {"b": 1}}, {"a": [{"b": None}]}, {"a": [{"b": None}]}),
    ],
)
def test_merge_patch(document: Any, patch: Any, expected: Any) -> None:
    before = deepcopy(document)
    assert merge.apply(document, patch) == expected
    assert document == before


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        pytest.param({"a": 1}, [{"op": "add", "path": "/b", "value": [1]}], {"a": 1, "b": [1]}, id="add"),
        pytest.param({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}, id="insert"),
        pytest.param({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}, id="append"),
        pytest.param({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}, id="remove"),
        pytest.param({"a": [1, 2]}, [{"op": "remove", "path": "/a/-1"}], {"a": [1]}, id="negative index"),
        pytest.param({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}, id="replace"),
        pytest.param({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}, id="move"),
        pytest.param({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}, id="copy"),
        pytest.param({"a/b": {"c~d": 1}}, [{"op": "remove", "path": "/a~1b/c~0d"}], {"a/b": {}}, id="escapes"),
        pytest.param({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}, id="test"),
        pytest.param({}, [{"op": "test", "path": "/a", "value": None}], {}, id="test of an absent value for null"),
        pytest.param({}, [{"op": "add", "path": "/x"}], {"x": None}, id="no value is null"),
        pytest.param({}, [{"op": "replace", "path": "/x", "value": 1}], {"x": 1}, id="replace of what is not there"),
        pytest.param({}, [{"op": "copy", "from": "/x", "path": "/y"}], {"y": None}, id="copy of what is not there"),
        pytest.param({}, [{"op": "add", "path": "a/x", "value": 1}], {"x": 1}, id="what stands before the first slash"),
    ],
)
def test_json_patch(document: Any, patch: Any, expected: Any) -> None:
    before = deepcopy(document)
    assert json_patch.apply(document, patch) == expected
    assert document == before


@pytest.mark.parametrize(
    ("patch", "error", "words"),
    [
        pytest.param({}, BadPatch, "cannot unmarshal object", id="not a list"),
        pytest.param([{"op": "add"}], Unprocessable, "failed to decode path", id="no path"),
        pytest.param(["x"], BadPatch, "cannot unmarshal string", id="an operation that is none"),
        pytest.param([{"op": "remove", "path": "/x"}], Unprocessable, "nonexistent key: x", id="absent"),
        pytest.param([{"op": "frob", "path": "/a"}], Unprocessable, "Unexpected kind: frob", id="unknown op"),
        pytest.param([{"op": "test", "path": "/a", "value": True}], Unprocessable, "test failed", id="true is not 1"),
        pytest.param([{"op": "remove", "path": "/l/9"}], Unprocessable, "invalid index", id="index"),
        pytest.param([{"op": "test", "path": "/a"}] * 10_001, TooLarge, "10000", id="too many"),
    ],
)
def test_json_patch_refusals(patch: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        json_patch.apply({"a": 1, "l": [1]}, patch)


def test_copies_into_themselves_end_before_they_are_too_deep_to_be_told() -> None:
    copies = [{"op": "copy", "from": "/a", "path": "/a" * (2**n + 1)} for n in range(12)]
    with pytest.raises(BadPatch, match="exceeded max depth"):
        json_patch.apply({"a": {"a": {}}}, copies)


@pytest.mark.parametrize("root", [None, 7, "x"])
def test_in_what_is_no_object_nothing_has_a_place(root: Any) -> None:
    with pytest.raises(Unprocessable):
        json_patch.apply({}, [{"op": "replace", "path": "", "value": root}, {"op": "add", "path": "/a/b", "value": 1}])


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


A, B, C = ({"name": name, "image": name} for name in "abc")


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        pytest.param(
            pod(A, B), pod({"name": "a", "image": "new"}), pod({"name": "a", "image": "new"}, B), id="merge by key"
        ),
        pytest.param(pod(A), pod(B), pod(B, A), id="an item the server does not have comes first"),
        pytest.param(pod(A, B), pod({"$patch": "delete", "name": "a"}), pod(B), id="$patch: delete of an item"),
        pytest.param(pod(A, B), pod({"$patch": "replace"}, C), pod(C), id="$patch: replace of a list"),
        pytest.param(
            pod(A, nodeSelector={"x": "1"}),
            {"spec": {"nodeSelector": {"$patch": "replace", "y": "2"}}},
            pod(A, nodeSelector={"y": "2"}),
            id="$patch: replace of a map",
        ),
        pytest.param(
            pod(A, nodeSelector={"x": "1"}), {"spec": {"nodeSelector": {"$patch": "delete"}}}, pod(A, nodeSelector={}),
            id="$patch: delete of a map",
        ),
        pytest.param(
            pod(A, B, C),
            {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}], "containers": []}},
            pod(C, A, B),
            id="$setElementOrder",
        ),
        pytest.param(
            {"metadata": {"finalizers": ["a", "b"]}}, {"metadata": {"finalizers": ["c", "a"]}},
            {"metadata": {"finalizers": ["c", "a", "b"]}}, id="primitive lists unite",
        ),
        pytest.param(
            {"metadata": {"finalizers": ["a", "b"]}}, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
            {"metadata": {"finalizers": ["b"]}}, id="$deleteFromPrimitiveList",
        ),
        pytest.param(
            pod({"name": "a", "args": ["1", "2"]}),
            pod({"name": "a", "args": ["3"]}),
            pod({"name": "a", "args": ["3"]}),
            id="atomic lists",
        ),
        pytest.param(
            pod(A, volumes=[{"name": "v", "emptyDir": {}}]),
            {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}},
            pod(A, volumes=[{"name": "v", "hostPath": {"path": "/x"}}]), id="$retainKeys",
        ),
        pytest.param(pod(A), {"spec": {"nodeName": None}}, pod(A), id="null of what is absent"),
    ],
)  # fmt: skip
def test_strategic_merge(document: Any, patch: Any, expected: Any) -> None:
    before = deepcopy(document)
    assert strategic.apply(document, patch, POD) == expected
    assert document == before


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param([], id="not an object"),
        pytest.param(pod({"image": "x"}), id="item without its key"),
        pytest.param({"spec": {"$patch": "frob"}}, id="unknown directive value"),
        pytest.param({"metadata": {"finalizers": [["x"]]}}, id="a list where a string must identify"),
    ],
)
def test_strategic_merge_refusals(patch: Any) -> None:
    with pytest.raises((BadPatch, Failed)):
        strategic.apply({**pod(A), "metadata": {"finalizers": ["a"]}}, patch, POD)


def test_apply_changes_what_is_wanted_drops_what_was_applied_and_leaves_the_rest() -> None:
    applied = {"spec": {"replicas": 1, "paused": True, "template": pod(A, B)}}
    wanted = {"spec": {"replicas": 2, "template": pod({"name": "a", "image": "new"})}}
    current = {"spec": {"replicas": 5, "paused": True, "minReadySeconds": 3, "template": pod({**A, "tty": True}, B, C)}}
    patch = strategic.three_way(applied, wanted, current, DEPLOYMENT)
    assert patch == {
        "spec": {
            "replicas": 2,
            "paused": None,
            "template": {
                "spec": {
                    "containers": [{"image": "new", "name": "a"}, {"$patch": "delete", "name": "b"}],
                    "$setElementOrder/containers": [{"name": "a"}],
                }
            },
        }
    }
    assert strategic.apply(current, patch, DEPLOYMENT) == {
        "spec": {
            "replicas": 2,
            "minReadySeconds": 3,
            "template": pod({"name": "a", "image": "new", "tty": True}, C),
        }
    }


def test_a_changed_union_retains_only_the_wanted_keys() -> None:
    current = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    wanted = {"spec": {"strategy": {"type": "Recreate"}}}
    patch = strategic.three_way({}, wanted, current, DEPLOYMENT)
    assert strategic.apply(current, patch, DEPLOYMENT) == wanted


names = st.sampled_from("abcd")
containers = st.lists(
    st.fixed_dictionaries({"name": names, "image": names}, optional={"tty": st.booleans(), "workingDir": names}),
    unique_by=lambda container: container["name"],
    max_size=4,
)
pods = st.builds(
    lambda items, finalizers, selector: {
        "metadata": {"finalizers": finalizers},
        "spec": {"containers": items, "nodeSelector": selector},
    },
    containers,
    st.lists(names, unique=True, max_size=4),
    st.dictionaries(names, names, max_size=3),
)


@given(last=pods, wanted=pods, current=pods)
def test_applying_twice_changes_nothing(last: Any, wanted: Any, current: Any) -> None:
    once = strategic.apply(current, strategic.three_way(last, wanted, current, POD), POD)
    assert strategic.three_way(wanted, wanted, once, POD) == {}


@given(wanted=pods, current=pods)
def test_applying_over_what_was_applied_gives_what_is_wanted(wanted: Any, current: Any) -> None:
    assert strategic.apply(current, strategic.three_way(current, wanted, current, POD), POD) == wanted
    assert merge.apply(current, merge.three_way(current, wanted, current)) == wanted
