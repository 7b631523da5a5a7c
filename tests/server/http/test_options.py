"""Options of requests: read and refused as kube-apiserver v1.36.2 answered the same queries and bodies."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import MultiDict

from pylet.api.errors import BadRequest, Invalid
from pylet.server.http import options
from pylet.server.http.options import WriteOptions
from pylet.server.registry import DeleteOptions

_UNSUPPORTED_DRY_RUN = 'dryRun: Unsupported value: ["Some"]: supported values: "All"'
_POLICIES = 'supported values: "Foreground", "Background", "Orphan", "nil"'
_BOTH = 'propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set'


def write(verb: str = "update", agent: str = "", *, applies: bool = False, **query: str) -> WriteOptions:
    return options.of_write(verb, MultiDict(query), agent, applies=applies)


@pytest.mark.parametrize(
    ("given", "agent", "expected"),
    [
        ("me", "kubectl/v1.36.2", "me"),
        ("", "kubectl/v1.36.2 (linux/amd64)", "kubectl"),
        ("", "", ""),
        ("", "a\tb/1", "ab"),
        ("", "é" * 100, "é" * 64),
    ],
)
def test_who_writes(given: str, agent: str, expected: str) -> None:
    assert write("update", agent, fieldManager=given).manager == expected


@pytest.mark.parametrize(
    ("verb", "applies", "query", "expected"),
    [
        ("patch", True, {}, "fieldManager: Required value: is required for apply patch"),
        ("patch", False, {"force": "false"}, "force: Forbidden: may not be specified for non-apply patch"),
        ("create", False, {"fieldManager": "a" * 129}, "fieldManager: Too long: may not be more than 128 bytes"),
        (
            "update",
            False,
            {"fieldManager": "é\x01"},
            r'fieldManager: Invalid value: "é\x01": invalid character U+0001 (at position 2)',
        ),
        ("create", False, {"dryRun": "Some"}, _UNSUPPORTED_DRY_RUN),
        ("create", False, {"dryRun": ""}, 'dryRun: Unsupported value: [""]: supported values: "All"'),
        (
            "update",
            False,
            {"fieldValidation": "x"},
            'fieldValidation: Unsupported value: "x": supported values: "", "Ignore", "Strict", "Warn"',
        ),
    ],
)
def test_a_write_is_refused(verb: str, applies: bool, query: dict[str, str], expected: str) -> None:
    with pytest.raises(Invalid) as refused:
        write(verb, applies=applies, **query)
    assert refused.value.message == f'{verb.capitalize()}Options.meta.k8s.io "" is invalid: {expected}'


def test_a_read_takes_no_notice_of_what_writes_are_asked() -> None:
    assert not write("list", dryRun="Some", fieldValidation="x").dry_run


@pytest.mark.parametrize(
    ("text", "expected"), [(None, None), ("0", False), ("False", False), ("", True), ("x", True), ("true", True)]
)
def test_a_flag(text: str | None, expected: bool | None) -> None:
    assert options.flag({} if text is None else {"force": text}, "force") is expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 34), ("32s", 32), ("1m", 34), ("0", 34), ("-5s", 34), ("1.5s250ms", 1.75), ("1h2.5m", 34), (".5s", 0.5)],
)
def test_a_timeout(text: str, seconds: float) -> None:
    assert options.timeout({"timeout": text}) == seconds


@pytest.mark.parametrize("text", ["abc", "5"])
def test_what_is_no_timeout(text: str) -> None:
    with pytest.raises(BadRequest, match="invalid timeout specified in the request URL"):
        options.timeout({"timeout": text})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"dryRun":["All"]}', DeleteOptions(dry_run=True)),
        (b'{"dryRun":["All","All"],"x":1}', DeleteOptions(dry_run=True)),
        (b'{"kind":"DeleteOptions","apiVersion":"apps/v1","gracePeriodSeconds":0}', DeleteOptions(grace_seconds=0)),
        (b'{"orphanDependents":false}', DeleteOptions(propagation="Background", is_cascading=True)),
        (b'{"orphanDependents":true}', DeleteOptions(propagation="Orphan")),
        (b'{"preconditions":{"uid":"u","resourceVersion":"1"}}', DeleteOptions(uid="u", revision="1")),
        (b'{"preconditions":{"uid":"","resourceVersion":""}}', DeleteOptions(uid="", revision="")),
        (b"null", DeleteOptions()),
        (b'{"preconditions":null}', DeleteOptions()),
    ],
)
def test_a_deletions_body(body: bytes, expected: DeleteOptions) -> None:
    assert options.of_delete_body(body, "application/json") == expected


_CANNOT = "json: cannot unmarshal"
_INTO = f"{_CANNOT} string into Go struct field DeleteOptions"


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (
            b'{"dryRun":"All"}',
            BadRequest,
            f"{_INTO}.dryRun of type []string",
        ),
        (
            b'{"kind":5}',
            BadRequest,
            f"couldn't get version/kind; json parse error: {_CANNOT} number into Go struct field .kind of type string",
        ),
        (
            b'{"kind":"Status","apiVersion":"v1"}',
            BadRequest,
            "converting (v1.Status) to (v1.DeleteOptions): unknown conversion",
        ),
        (
            b'{"kind":"Pod"}',
            BadRequest,
            'no kind "Pod" is registered for version "meta.k8s.io/v1" in scheme '
            '"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"',
        ),
        (
            b'{"preconditions":[null]}',
            BadRequest,
            f"{_CANNOT} array into Go struct field DeleteOptions.preconditions of type v1.Preconditions",
        ),
        (
            b'{"gracePeriodSeconds":1.5}',
            BadRequest,
            f"{_CANNOT} number 1.5 into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
        (
            b'{"orphanDependents":"x"}',
            BadRequest,
            f"{_INTO}.orphanDependents of type bool",
        ),
        (
            b"[]",
            BadRequest,
            f"json parse error: {_CANNOT} array into Go value of type struct",
        ),
        (b'{"kind":"Pod","apiVersion":"v1"}', BadRequest, 'no kind "Pod" is registered for version "v1" in scheme'),
        (b'{"dryRun":["Some"]}', Invalid, _UNSUPPORTED_DRY_RUN),
        (b'{"propagationPolicy":""}', Invalid, f'propagationPolicy: Unsupported value: "": {_POLICIES}'),
        (b'{"orphanDependents":true,"propagationPolicy":"Orphan"}', Invalid, _BOTH),
    ],
)
def test_a_deletions_body_is_refused(body: bytes, error: type[Any], message: str) -> None:
    with pytest.raises(error) as refused:
        options.of_delete_body(body, "application/json")
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, DeleteOptions()),
        ({"dryRun": "All", "gracePeriodSeconds": "3"}, DeleteOptions(dry_run=True, grace_seconds=3)),
        ({"orphanDependents": ""}, DeleteOptions(propagation="Orphan")),
        ({"uid": "u", "resourceVersion": "7"}, DeleteOptions(uid="u", revision="7")),
    ],
)
def test_a_deletions_query(query: dict[str, str], expected: DeleteOptions) -> None:
    assert options.of_delete(MultiDict(query)) == expected


def test_a_deletions_query_is_refused() -> None:
    with pytest.raises(Invalid, match="Unsupported value"):
        options.of_delete(MultiDict([("dryRun", "All"), ("dryRun", "B")]))
    with pytest.raises(BadRequest, match=r'strconv\.ParseInt: parsing "": invalid syntax'):
        options.of_delete(MultiDict(gracePeriodSeconds=""))
