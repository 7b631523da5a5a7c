"""Field ownership. The expected owners and objects of the corpus were seen at a kube-apiserver v1.36.2."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylet.api.object import Object
from pylet.api.patch import apply, checking, managed, shape, typed
from pylet.api.patch.apply import FieldConflict, Write
from pylet.api.patch.fieldset import Set, difference, intersection, of_paths, ordered
from pylet.api.patch.managed import Managed
from pylet.api.patch.shape import Shape

CONFIGMAP, POD, DEPLOYMENT, SERVICE = (
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.core.v1.Service",
)


class OneVersion:
    is_fixed = True

    def __init__(self, definition: str, api_version: str) -> None:
        self._shape = shape.of(definition)
        self._version = api_version

    def shape(self, api_version: str) -> Shape | None:
        return self._shape if api_version == self._version else None

    def convert(self, obj: Object, api_version: str) -> Object:
        return obj


def write(name: str, definition: str = CONFIGMAP, *, now: str = "now", ignored: Set | None = None) -> Write:
    version = "apps/v1" if definition == DEPLOYMENT else "v1"
    return Write(name, version, "", ignored or {}, OneVersion(definition, version), now)


class Live:
    """One object and its owners, written as the server writes them."""

    def __init__(self, definition: str = CONFIGMAP) -> None:
        self.definition = definition
        self.obj: Object = {}
        self.owners: Managed = {}

    def update(self, name: str, obj: Object, now: str = "now") -> Live:
        self.owners = apply.updated(self.obj, obj, self.owners, write(name, self.definition, now=now))
        self.obj = obj
        return self

    def apply(self, name: str, config: Object, *, force: bool = False, now: str = "now") -> Live:
        before = deepcopy(self.obj)
        self.obj, self.owners = apply.applied(
            self.obj, config, self.owners, write(name, self.definition, now=now), force=force
        )
        assert before == self.obj or self.obj is not before
        return self

    def fields(self, name: str) -> Set | None:
        return next((owned.fields for manager, owned in self.owners.items() if manager.name == name), None)


def data(**values: Any) -> Object:
    return {"data": values}


def pod(*containers: Any, **spec: Any) -> Object:
    return {"spec": {"containers": list(containers), **spec}}


def test_creating_owns_what_is_there_but_not_what_go_prints_anyhow() -> None:
    live = Live(POD).update("me", pod({"name": "c", "image": "x", "resources": {}}, nodeSelector={"a": "b"}))
    container: Set = {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}
    assert live.fields("me") == {
        "f:spec": {"f:containers": {'k:{"name":"c"}': container}, "f:nodeSelector": {}},
    }


def test_creating_a_map_owns_the_map_and_its_entries() -> None:
    live = Live().update("me", {**data(a="1"), "metadata": {"name": "x", "labels": {"l": "1"}}})
    assert live.fields("me") == {
        "f:data": {".": {}, "f:a": {}},
        "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
    }


def test_an_update_takes_what_it_changes_and_drops_what_it_removes() -> None:
    live = Live().update("one", data(a="1", b="1")).update("two", data(a="2", c="3"), now="later")
    assert live.fields("one") == {"f:data": {}}
    assert live.fields("two") == {"f:data": {"f:a": {}, "f:c": {}}}
    assert [owned.time for owned in live.owners.values()] == ["now", "later"]


def test_an_update_that_changes_nothing_leaves_the_owners_alone() -> None:
    live = Live().update("one", data(a="1"))
    owners = live.owners
    assert live.update("two", data(a="1")).owners is owners


def test_applying_what_another_has_set_otherwise_is_a_conflict() -> None:
    live = Live().update("one", data(a="1", b="1"))
    with pytest.raises(FieldConflict) as refused:
        live.apply("two", data(a="2"))
    status = refused.value.status()
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "one" using v1: .data.a'
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one" using v1', "field": ".data.a"}
    ]
    with pytest.raises(FieldConflict, match=r'2 conflicts: conflicts with "one" using v1:\n- \.data\.a\n- \.data\.b'):
        live.apply("two", data(a="2", b="2"))


def test_force_takes_fields_over() -> None:
    live = Live().update("one", data(a="1", b="1")).apply("two", data(a="2"), force=True)
    assert live.obj["data"] == {"a": "2", "b": "1"}
    assert live.fields("one") == {"f:data": {".": {}, "f:b": {}}}
    assert live.fields("two") == {"f:data": {"f:a": {}}}


def test_what_one_leaves_out_goes_unless_another_owns_it_too() -> None:
    live = Live().apply("one", data(a="1", b="1")).apply("two", data(b="1"))
    assert live.apply("one", data()).obj["data"] == {"b": "1"}
    assert live.fields("one") == {"f:data": {}}
    assert live.apply("two", {}).obj.get("data") == {}


def test_applying_over_what_nobody_owns_asks_who_wrote_before() -> None:
    live = Live()
    live.obj = data(a="1")
    with pytest.raises(FieldConflict, match=r'"before-first-apply" using v1: \.data\.a'):
        live.apply("me", data(a="2"))
    live.apply("me", data(a="1"))
    assert live.fields("before-first-apply") == {"f:data": {".": {}, "f:a": {}}}


@pytest.mark.parametrize(
    ("definition", "live", "config", "expected"),
    [
        pytest.param(
            POD,
            pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"}),
            pod({"name": "b", "image": "1"}, {"name": "c", "image": "1"}, {"name": "a"}),
            pod({"name": "b", "image": "1"}, {"name": "c", "image": "1"}, {"name": "a", "image": "1"}),
            id="keyed items take the configuration's order",
        ),
        pytest.param(
            POD,
            pod({"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP"}]}),
            pod({"name": "c", "ports": [{"containerPort": 80, "name": "http"}]}),
            pod({"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]}),
            id="a key left out has its default",
        ),
        pytest.param(
            POD,
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"finalizers": ["c", "a"]}},
            {"metadata": {"finalizers": ["c", "a", "b"]}},
            id="a set is merged",
        ),
        pytest.param(
            POD,
            pod(tolerations=[{"key": "a"}]),
            pod(tolerations=[{"key": "b"}]),
            pod(tolerations=[{"key": "b"}]),
            id="an atomic list is replaced",
        ),
        pytest.param(
            SERVICE,
            {"spec": {"selector": {"a": "1"}}},
            {"spec": {"selector": {"b": "1"}}},
            {"spec": {"selector": {"b": "1"}}},
            id="an atomic map is replaced",
        ),
        pytest.param(CONFIGMAP, data(a="1"), {"data": None}, data(a="1"), id="null leaves a map's entries"),
        pytest.param(CONFIGMAP, data(a="1"), data(b="2"), data(a="1", b="2"), id="a granular map is merged"),
    ],
)
def test_corpus_of_merges(definition: str, live: Object, config: Object, expected: Object) -> None:
    before = deepcopy((live, config))
    assert typed.merge(live, config, shape.of(definition)) == expected
    assert (live, config) == before


def test_unsetting_an_item_keeps_what_another_applied_to_it() -> None:
    live = Live(POD).apply("one", pod({"name": "c", "image": "x", "env": [{"name": "A", "value": "1"}]}))
    live.apply("two", pod({"name": "c", "workingDir": "/"})).apply("one", {})
    assert live.obj == pod({"name": "c", "workingDir": "/"})
    live.apply("two", {})
    assert live.obj == {}


def test_time_moves_only_with_the_object() -> None:
    live = Live().apply("me", data(a="1"), now="first").apply("me", data(a="1"), now="second")
    assert [owned.time for owned in live.owners.values()] == ["first"]
    live.apply("other", data(a="1"), now="third")
    assert [owned.time for owned in live.owners.values()] == ["first", None]


def test_kubectl_takes_over_what_it_applied_client_side() -> None:
    last = '{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1","b":"1"}}'
    obj = {**data(a="1", b="2"), "metadata": {"annotations": {apply.LAST_APPLIED: last}}}
    live = Live().update("kubectl-client-side-apply", {**obj, "data": {"a": "1", "b": "1"}}).update("other", obj)
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    with pytest.raises(FieldConflict, match=r'1 conflict: conflict with "other" using v1: \.data\.b'):
        live.apply("kubectl", {**head, **data(a="9", b="9")})
    live.apply("kubectl", {**head, **data(a="9")})
    assert live.obj["data"] == {"a": "9", "b": "2"}
    assert live.obj["metadata"]["annotations"][apply.LAST_APPLIED] == (
        '{"apiVersion":"v1","data":{"a":"9"},"kind":"ConfigMap","metadata":{}}\n'
    )


def test_ignored_fields_are_never_owned() -> None:
    one = write("me", DEPLOYMENT, ignored=of_paths(("f:status",)))
    owners = apply.updated({}, {"spec": {"replicas": 1}, "status": {"replicas": 3}}, {}, one)
    assert [owned.fields for owned in owners.values()] == [{"f:spec": {"f:replicas": {}}}]


def test_more_than_ten_updaters_become_ancient() -> None:
    live = Live()
    for number in range(14):
        values = {f"k{other:02}": "1" for other in range(number + 1)}
        live.update(f"u{number:02}", data(**values), now=f"{number:02}")
    names = [manager.name for manager in live.owners]
    assert len(names) == 10
    assert "ancient-changes" in names
    assert live.fields("ancient-changes") == {"f:data": {".": {}, **{f"f:k{n:02}": {} for n in range(5)}}}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"foo": 1}, ".foo: field not declared in schema"),
        ({"spec": []}, ".spec: expected map, got &{[]}"),
        (pod("x"), ".spec.containers: element 0: associative list with keys may not have non-map elements"),
        (pod({"name": "a"}, {"name": "a"}), '.spec.containers: duplicate entries for key [name="a"]'),
        (pod(priority="1"), ".spec.priority: expected numeric (int or float), got string"),
        (pod(hostNetwork="x"), ".spec.hostNetwork: expected boolean, got &{x}"),
    ],
)
def test_a_configuration_must_be_of_its_schema(config: Object, why: str) -> None:
    with pytest.raises(checking.Misfit) as refused:
        Live(POD).apply("me", config)
    assert str(refused.value) == why


def test_entries_come_back_as_they_were_written() -> None:
    live = (
        Live().update("a", data(x="1"), now="2026-01-01T00:00:02Z").apply("b", data(y="1"), now="2026-01-01T00:00:01Z")
    )
    entries = managed.written(live.owners)
    assert [entry["operation"] for entry in entries] == ["Apply", "Update"]
    assert list(entries[1]) == ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"]
    assert managed.read(entries) == live.owners


# ---- properties


def _name(item: Object) -> str:
    name: str = item["name"]
    return name


Strategy = st.SearchStrategy[Object]
NAMES = st.sampled_from("abc")
WORDS = st.dictionaries(NAMES, NAMES, min_size=1)
ENV: Strategy = st.fixed_dictionaries({"name": NAMES}, optional={"value": NAMES})
CONTAINER: Strategy = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "image": st.sampled_from(["1", "2"]),
        "args": st.lists(NAMES, min_size=1, max_size=2),
        "env": st.lists(ENV, unique_by=_name, min_size=1, max_size=2),
    },
)
CONTAINERS = st.lists(CONTAINER, unique_by=_name, min_size=1, max_size=3)
META: Strategy = st.fixed_dictionaries(
    {"name": st.just("p"), "annotations": st.just({"applied": "yes"})},
    optional={"labels": WORDS, "finalizers": st.lists(NAMES, unique=True, min_size=1)},
)
SPEC: Strategy = st.fixed_dictionaries({}, optional={"containers": CONTAINERS, "nodeSelector": WORDS})
CONFIGS: Strategy = st.fixed_dictionaries({"metadata": META}, optional={"spec": SPEC})


@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), CONFIGS), min_size=1, max_size=4))
def test_applying_twice_changes_nothing(writes: list[tuple[str, Object]]) -> None:
    live = Live(POD)
    for name, config in writes:
        live.apply(name, config, force=True)
    obj, owners = deepcopy(live.obj), live.owners
    live.apply(name, config)
    assert live.obj == obj
    if owners:  # else what is left is before-first-apply's
        assert live.owners == owners


@given(CONFIGS, CONFIGS)
def test_what_the_only_applier_leaves_out_is_gone(first: Object, second: Object) -> None:
    whole = shape.of(POD)
    live = Live(POD).apply("me", first).apply("me", second)
    left_out = difference(typed.fields_of(first, whole), typed.with_named(typed.fields_of(second, whole), whole))
    assert not intersection(typed.fields_of(live.obj, whole), left_out)


@given(CONFIGS, CONFIGS)
def test_changes_name_what_differs_and_only_that(old: Object, new: Object) -> None:
    changes = typed.compare(old, new, shape.of(POD))
    assert not typed.compare(new, new, shape.of(POD))
    back = typed.compare(new, old, shape.of(POD))
    assert changes.added == back.removed
    assert changes.removed == back.added
    assert changes.modified == back.modified


def test_owners_are_written_in_order_and_share_nothing_that_differs() -> None:
    env = [{"name": name, "value": "1"} for name in ("Z", "A", 'q"<')]
    probes = [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 9, "protocol": "UDP"}]
    made = pod({"name": "b", "ports": probes, "image": "x", "env": env}, {"name": "a", "env": env[:1]}, hostPID=True)
    again = pod({"name": "b", "env": [{"name": "Z"}, {"name": "A", "value": "1"}]})
    for obj in (made, again, made):
        (fields,) = (owned.fields for owned in apply.updated({}, obj, {}, write("w", POD)).values())
        assert orjson.dumps(fields) == orjson.dumps(ordered(fields))
        containers = fields["f:spec"]["f:containers"]
        variables = containers['k:{"name":"b"}']["f:env"]
        assert ("f:value" in variables['k:{"name":"Z"}']) == (obj is made)


@given(CONFIGS, CONFIGS)
def test_what_an_update_owns_is_in_order(old: Object, new: Object) -> None:
    for owned in Live(POD).update("one", old).update("two", new).owners.values():
        assert orjson.dumps(owned.fields) == orjson.dumps(ordered(owned.fields))
