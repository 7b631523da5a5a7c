"""Bodies as clients send them, and what they are told when nobody can read them."""

import re

import orjson
import pytest

from pylet.api.errors import BadRequest, RequestEntityTooLarge
from pylet.api.kinds.pod import KIND as POD
from pylet.api.wire import decode

POD_YAML = b"""
kind: Pod
apiVersion: v1
metadata: &meta {name: a, labels: {"on": "yes", 1: one}}
spec:
  priority: 0x10
  containers:
  - name: a
    env: [{name: A, value: "2026-01-01"}]
"""


def test_json_gets_kind_and_version_from_the_request() -> None:
    obj, warnings = decode.of_kind(POD, b'{"metadata":{"name":"a"}}')
    assert obj == {"metadata": {"name": "a"}, "kind": "Pod", "apiVersion": "v1"}
    assert warnings == []


def test_the_core_group_may_be_written_with_a_slash() -> None:
    obj, _ = decode.of_kind(POD, b'{"apiVersion":"/v1"}')
    assert obj["apiVersion"] == "v1"
    with pytest.raises(BadRequest):
        decode.of_kind(POD, b'{"apiVersion":"//v1"}')


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        pytest.param(b"null", "application/json", id="null"),
        pytest.param(b"# nothing", "application/yaml", id="a document without content"),
    ],
)
def test_nothing_is_an_empty_object(raw: bytes, content_type: str) -> None:
    obj, _ = decode.of_kind(POD, raw, content_type)
    assert obj == {"kind": "Pod", "apiVersion": "v1"}


def test_yaml() -> None:
    obj, warnings = decode.of_kind(POD, POD_YAML, "application/yaml")
    assert obj["metadata"] == {"name": "a", "labels": {"on": "yes", "1": "one"}}
    assert obj["spec"] == {"priority": 16, "containers": [{"name": "a", "env": [{"name": "A", "value": "2026-01-01"}]}]}
    assert warnings == []


@pytest.mark.parametrize(
    ("written", "value"),
    [
        pytest.param("22:22", "22:22", id="two ports are no sexagesimal number"),
        pytest.param("1e3", 1000.0, id="an exponent"),
        pytest.param("0o17", 15, id="a new octal number"),
        pytest.param("18446744073709551615", 18446744073709551615, id="the largest number"),
        pytest.param("-99999999999999999999", -1e20, id="a number of more than 64 bits"),
        pytest.param("y", True, id="a letter that means yes"),
        pytest.param("N", False, id="a letter that means no"),
        pytest.param("017", 15, id="an old octal number"),
        pytest.param("yes", True, id="a YAML 1.1 bool"),
        pytest.param("~", None, id="null"),
        pytest.param("2026-01-01", "2026-01-01", id="a date is text"),
        pytest.param("!!str 1", "1", id="a tag decides"),
        pytest.param("'1'", "1", id="quotes decide"),
        pytest.param("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}, id="a merge"),
        pytest.param("[&x {a: [1]}, *x]", [{"a": [1]}, {"a": [1]}], id="an alias"),
    ],
)
def test_yaml_values(written: str, value: object) -> None:
    assert decode.parse(f"v: {written}".encode(), "application/yaml").value == {"v": value}


TWICE = b'{"metadata":{"name":"a","name":"b","labels":{"x":"\\u0022","x":"2"}},"spec":{"foo":1}}'


@pytest.mark.parametrize(
    ("validation", "warnings"),
    [
        pytest.param(
            "Warn",
            ['duplicate field "metadata.name"', 'duplicate field "metadata.labels.x"', 'unknown field "spec.foo"'],
            id="warned of",
        ),
        pytest.param("Ignore", [], id="passed over"),
    ],
)
def test_unknown_and_duplicate_fields(validation: str, warnings: list[str]) -> None:
    obj, told = decode.of_kind(POD, TWICE, validation=validation)
    assert obj["metadata"] == {"name": "b", "labels": {"x": "2"}}
    assert obj["spec"] == {}
    assert told == warnings


ODD = [
    'duplicate field "metadata.name"',
    'unknown field "metadata.odd"',
    'unknown field "spec.odd1"',
    'unknown field "spec.odd2"',
    'duplicate field "spec.hostPID"',
    'unknown field "spec.containers[0].odd"',
    'duplicate field "spec.containers[0].image"',
]
ODD_JSON = b"""{"metadata":{"name":"a","name":"b","odd":1},"spec":{"odd1":1,"odd2":{"x":1,"x":2},"odd2":2,
"hostPID":true,"hostPID":false,"containers":[{"name":"c","odd":1,"image":"a","image":"b"}]}}"""
ODD_IN_YAML = [
    'line 4: key "name" already set in map',
    'line 9: key "odd2" already set in map',
    'line 15: key "image" already set in map',
    'unknown field "metadata.odd"',
    'unknown field "spec.containers[0].odd"',
    'unknown field "spec.odd1"',
    'unknown field "spec.odd2"',
]
ODD_YAML = b"""
metadata:
  name: a
  name: b
  odd: 1
spec:
  odd1: 1
  odd2: 1
  odd2: 2
  containers:
  - name: c
    odd: 1
    image: a
    # again
    image: b
"""


@pytest.mark.parametrize(
    ("raw", "type_", "problems", "first"),
    [
        pytest.param(ODD_JSON, "application/json", ODD, ODD[0], id="JSON: as they stand there"),
        pytest.param(
            ODD_YAML,
            "application/yaml",
            ODD_IN_YAML,
            "yaml: unmarshal errors:\n  " + "\n  ".join(ODD_IN_YAML[:3]) + ", unknown",
            id="YAML: first what is twice, then as the sorted fields stand",
        ),
    ],
)
def test_what_is_odd_is_told_in_upstreams_order(raw: bytes, type_: str, problems: list[str], first: str) -> None:
    assert decode.of_kind(POD, raw, type_)[1] == problems
    with pytest.raises(BadRequest) as refused:
        decode.of_kind(POD, raw, type_, "Strict")
    told = refused.value.message.partition("strict decoding error: ")[2]
    assert told.startswith(first)
    assert told.endswith(", ".join(problems[3:]))


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b",".join([b"*%c" % (name - 1)] * 10)) for name in b"bcdefg"
)


@pytest.mark.parametrize(
    ("raw", "content_type", "says"),
    [
        pytest.param(
            TWICE,
            "application/json",
            'Pod in version "v1" cannot be handled as a Pod: strict decoding error: duplicate field "metadata.name", '
            'duplicate field "metadata.labels.x", unknown field "spec.foo"',
            id="strict",
        ),
        pytest.param(
            b'{"a":1',
            "application/json",
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            'unexpected end of JSON input ({"a":1)',
            id="cut off",
        ),
        pytest.param(
            b'{"a":x}',
            "application/json",
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            "invalid character 'x' looking for beginning of value ({\"a\":x})",
            id="no JSON",
        ),
        pytest.param(
            b"",
            "application/json",
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            "unexpected end of JSON input (<empty>)",
            id="empty",
        ),
        pytest.param(
            b'{"kind":"Pod","apiVersion":"v2"}',
            "application/json",
            'Pod in version "v2" cannot be handled as a Pod: '
            'no kind "Pod" is registered for version "v2" in scheme "pkg/api/legacyscheme/scheme.go:30"',
            id="another version",
        ),
        pytest.param(
            b'{"kind":"Pod","apiVersion":"a/b/c"}',
            "application/json",
            "the object provided is unrecognized (must be of type Pod): "
            'unexpected GroupVersion string: a/b/c ({"kind":"Pod","apiVersion":"a/ ...)',
            id="no version",
        ),
        pytest.param(
            b'{"kind":7}',
            "application/json",
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            'json: cannot unmarshal number into Go struct field .kind of type string ({"kind":7})',
            id="a number for a kind",
        ),
        pytest.param(
            b'{"kind":"Deployment","apiVersion":"apps/v1"}',
            "application/json",
            'Deployment in version "v1" cannot be handled as a Pod: '
            "converting (v1.Deployment) to (core.Pod): unknown conversion",
            id="another kind",
        ),
        pytest.param(
            b"a: b: c",
            "application/yaml",
            "the object provided is unrecognized (must be of type Pod): yaml: "
            "mapping values are not allowed in this context (613a20623a2063)",
            id="no YAML",
        ),
    ],
)
def test_refused(raw: bytes, content_type: str, says: str) -> None:
    with pytest.raises(BadRequest) as refused:
        decode.of_kind(POD, raw, content_type, "Strict")
    assert refused.value.message == says


@pytest.mark.parametrize(
    ("value", "most"),
    [(b"{}", 72_000), (b'{"a":1}', 55_384), (b"1", 360_000)],
    ids=["objects", "fields", "numbers"],
)
def test_more_than_any_object_has_is_refused(value: bytes, most: int) -> None:
    assert len(decode.parse(b"[%b]" % b",".join([value] * most)).value) == most
    with pytest.raises(RequestEntityTooLarge, match="more than 144000 fields, 72000 objects or 360000 values"):
        decode.parse(b"[%b]" % b",".join([value] * (most + 1)))


@pytest.mark.parametrize(("line", "most"), [(b"- {}\n", 39), (b"- {a: 1}\n", 19), (b"- 1\n", 99)])
def test_yaml_weighs_as_much(monkeypatch: pytest.MonkeyPatch, line: bytes, most: int) -> None:
    monkeypatch.setattr("pylet.api.wire.yaml.MOST", 400)
    assert len(decode.parse(line * most, "application/yaml").value) == most
    with pytest.raises(RequestEntityTooLarge, match="more than 40 fields and objects or 100 values"):
        decode.parse(line * (most + 1), "application/yaml")


def test_texts_are_one_value_whatever_is_in_them() -> None:
    texts = ["{" * 60_000, '\\"[,' * 30_000]
    assert decode.parse(orjson.dumps(texts)).value == texts


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(BOMB, "excessive aliasing", id="an alias bomb"),
        pytest.param(b"[" * 1_000_000, "exceeded max depth", id="deep nesting"),
        pytest.param(b"x: &a [*a]", "unknown anchor 'a'", id="an alias inside itself"),
        pytest.param(b"a: .inf", "unsupported value", id="no JSON number"),
        pytest.param(b"? [a]\n: b", "invalid map key", id="a list as a key"),
    ],
)
def test_hostile_yaml_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        decode.parse(raw, "application/yaml")


@pytest.mark.parametrize(
    ("raw", "char"),
    [
        (b"[" * 239 + b"]" * 239, "["),
        (b'{"a":' * 239 + b"1" + b"}" * 239, "{"),
        (b"[" * 238 + b'{"[{":1}' + b"]" * 238, "{"),
        (b"[" * 100_000, "["),
        (b"[1," * 500_000, "["),
    ],
    ids=["lists", "objects", "both", "cut off", "heavy, too"],
)
def test_deeply_nested_json_is_refused(raw: bytes, char: str) -> None:
    with pytest.raises(BadRequest, match=re.escape(f"invalid character '{char}' exceeded max depth")):
        decode.parse(raw)


def test_what_is_nested_less_is_read() -> None:
    raw = b"[" * 238 + b'"["' + b"]" * 238
    assert orjson.dumps(decode.parse(raw).value) == raw
