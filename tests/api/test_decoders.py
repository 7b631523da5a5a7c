"""Whatever a client sends, decoders answer or refuse in the way they say, soon: no other exception, no loop."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylet.api import cron, kinds, quantity, selector, timestamps
from pylet.api.errors import ApiError, BadRequest
from pylet.api.kind import Kind
from pylet.api.object import Key
from pylet.api.wire import decode
from pylet.client.interface import PatchType
from pylet.server.registry.listing import Token
from pylet.server.registry.ownership import Ownership
from pylet.server.registry.patching import patched
from pylet.server.registry.request import DeleteOptions, Request


def _kind(group: str, name: str) -> Kind:
    found = kinds.by_kind(group, "v1", name)
    assert found is not None
    return found


POD, BINDING = _kind("", "Pod"), _kind("", "Binding")
LIVE = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "x", "namespace": "default", "labels": {"a": "b"}, "finalizers": ["a.b/c"]},
    "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
}
_WORDS = st.sampled_from(
    [
        "kind",
        "apiVersion",
        "metadata",
        "name",
        "labels",
        "spec",
        "containers",
        "image",
        "ports",
        "containerPort",
        "c",
        "finalizers",
        "ownerReferences",
        "managedFields",
        "fieldsV1",
        "uid",
        "resources",
        "limits",
        "cpu",
        "env",
        "a",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "v1",
        "Pod",
        "$deleteFromPrimitiveList/finalizers",
        "delete",
        "replace",
        "merge",
        "f:metadata",
        'k:{"name":"c"}',
        ".",
        "manager",
        "Apply",
        "80",
        "",
    ]
)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=5), _WORDS
)
VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4), max_leaves=20
)
OBJECTS = st.dictionaries(_WORDS, VALUES, max_size=6)
_PIECES = st.sampled_from(
    [
        *"{}[]:,\"\\a1-.\n\t'#\x00\ufeff\ud7ff\u00e9",
        "\\u",
        "kind",
        "e9",
        "null",
        "  ",
        "- ",
        "? ",
        "&a ",
        "*a",
        "<<: ",
        "0o7",
        "!!binary ",
        "!!int ",
        "|\n",
        ">-\n",
        "---\n",
        "...\n",
        "%TAG ! x\n",
        ".inf",
        "2026-01-01",
        "1:30",
    ]
)
NOISE = st.one_of(
    st.binary(max_size=60),
    st.lists(_PIECES, max_size=20).map(lambda parts: "".join(parts).encode()),
    OBJECTS.map(lambda value: orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)),
)
# Enough to find what broke; for a new decoder run some thousands once.
quick = settings(max_examples=40, deadline=1000, suppress_health_check=[HealthCheck.too_slow])


def _patch(type_: PatchType, patch: Any) -> None:
    with contextlib.suppress(ApiError):
        patched(POD, orjson.loads(orjson.dumps(LIVE)), patch, type_, decode.WARN)


@quick
@given(NOISE, st.sampled_from(["application/json", "application/yaml", decode.PROTOBUF_TYPE]), st.booleans())
def test_a_body(raw: bytes, content_type: str, is_prefixed: bool) -> None:
    if is_prefixed and content_type == decode.PROTOBUF_TYPE:
        raw = b"k8s\x00" + raw
    for kind in (POD, BINDING):
        with contextlib.suppress(ApiError):
            assert isinstance(decode.of_kind(kind, raw, content_type)[0], dict)
    with contextlib.suppress(ApiError):
        DeleteOptions.of(decode.options("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", raw, content_type))


@quick
@given(OBJECTS)
def test_an_object(obj: Any) -> None:
    with contextlib.suppress(ApiError):
        decode.of_kind(POD, orjson.dumps(obj))


@quick
@given(VALUES | OBJECTS)
def test_merge_and_strategic_patches(patch: Any) -> None:
    patch = orjson.loads(orjson.dumps(patch))
    _patch(PatchType.MERGE, patch)
    _patch(PatchType.STRATEGIC, patch)


_POINTERS = st.lists(_WORDS | st.sampled_from(["0", "-", "-1", "~0", "~2", "9" * 30]), max_size=4).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
_OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "sing"]) | _SCALARS},
    optional={"path": _POINTERS | _SCALARS, "from": _POINTERS | _SCALARS, "value": VALUES},
)


@quick
@given(st.lists(_OPERATIONS, max_size=6) | VALUES)
def test_json_patches(patch: Any) -> None:
    _patch(PatchType.JSON, orjson.loads(orjson.dumps(patch)))


@quick
@given(OBJECTS)
def test_applied_configurations(config: Any) -> None:
    config = orjson.loads(orjson.dumps({**config, "kind": "Pod", "apiVersion": "v1"}))
    request = Request(verb="patch", kind=POD, key=Key("default", "x"), field_manager="me", force=True)
    with contextlib.suppress(ApiError):
        Ownership().applied(request, POD, orjson.loads(orjson.dumps(LIVE)), config, "2026-01-01T00:00:00Z")


_SELECTING = st.lists(
    st.sampled_from(["a", "b/c", "=", "==", "!=", "!", ",", "in", "notin", "(", ")", "<", ">", " ", "\\", "\\,", "1"])
    | st.text(max_size=3),
    max_size=12,
).map("".join)


@quick
@given(_SELECTING)
def test_selectors(text: str) -> None:
    for parse in (selector.parse_labels, selector.parse_fields):
        with contextlib.suppress(ValueError):
            found: Any = parse(text)
            assert parse(str(found)) == found


def _in_base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@quick
@given(st.text(max_size=30) | NOISE.map(_in_base64))
def test_continue_tokens(text: str) -> None:
    with contextlib.suppress(BadRequest):
        Token.parse(text)


_NUMBERS = st.lists(
    st.sampled_from(["1", "0", "9" * 20, ".", "-", "+", "e", "E", "k", "Ki", "m", "n", "u", "P", " ", "_"]), max_size=6
).map("".join)


@quick
@given(_NUMBERS | st.text(max_size=5))
def test_quantities(text: str) -> None:
    for read in (quantity.parse, quantity.canonical, quantity.canonical_milli):
        with contextlib.suppress(ValueError):
            read(text)
    with contextlib.suppress(ValueError):
        once = quantity.canonical(text)
        assert quantity.canonical(once) == once


_FIELDS = st.lists(
    st.sampled_from(["*", "/", "-", ",", "?", "1", "59", "0", "jan", "MON", " ", "@every ", "@daily", "1h", "5"]),
    max_size=16,
).map("".join)


@quick
@given(_FIELDS | st.text(max_size=12), st.sampled_from(["", "UTC", "Europe/Berlin", "../x", "\x00"]))
def test_schedules(text: str, zone: str) -> None:
    with contextlib.suppress(ValueError):
        cron.parse(text, zone)


_TIMES = st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{6,12}(Z|[+-][0-9]{2}:[0-9]{2})", fullmatch=True)


@quick
@given(_TIMES | st.text(max_size=12) | _SCALARS.filter(lambda value: value is not None))
def test_times(value: Any) -> None:
    for read in (timestamps.canonical, timestamps.canonical_micro):
        with contextlib.suppress(ValueError):
            assert read(read(value)) == read(value)
