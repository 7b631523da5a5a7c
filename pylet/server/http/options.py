"""What a request asks for beside its object: options out of its query, or out of a deletion's body.

Read and refused as upstream does: apimachinery pkg/runtime/conversion.go and pkg/apis/meta/v1/validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from multidict import MultiDict, MultiDictProxy, MultiMapping

from pylet.api import causes, goduration
from pylet.api.causes import quoted
from pylet.api.errors import BadRequest, Invalid
from pylet.api.object import Object
from pylet.api.wire import decode
from pylet.server.registry import DeleteOptions, ListOptions
from pylet.server.registry.ownership import agent_name, manager_causes
from pylet.server.registry.request import dry_run_causes

NONE: MultiMapping[str] = MultiDictProxy(MultiDict())
_VALIDATIONS = ("", decode.IGNORE, decode.STRICT, decode.WARN)
_WRITES = ("create", "update", "patch")
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_MOST_SECONDS = 34.0  # requestTimeoutUpperBound


class WriteOptions(NamedTuple):
    """`stated` is the fieldManager of the query, `manager` who is taken for it without one."""

    dry_run: bool = False
    manager: str = ""
    stated: str = ""
    force: bool = False
    validation: str = ""


NOT_WRITTEN = WriteOptions()


def flag(query: Mapping[str, str], name: str) -> bool | None:
    """None without one; only "0" and "false" mean no."""
    text = query.get(name)
    return None if text is None else text != "0" and text.lower() != "false"


def number(query: Mapping[str, str], name: str) -> int | None:
    """Raises: BadRequest."""
    text = query.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax") from None


def timeout(query: Mapping[str, str]) -> float:
    """How many seconds a write may take. Raises: BadRequest."""
    if not (text := query.get("timeout")):
        return _MOST_SECONDS
    try:
        asked = goduration.nanoseconds(text) / 1e9
    except ValueError as bad:
        raise BadRequest(f"invalid timeout specified in the request URL - {bad}") from bad
    return asked if 0 < asked < _MOST_SECONDS else _MOST_SECONDS


def refuse_export(query: Mapping[str, str]) -> None:
    """Raises: BadRequest."""
    if flag(query, "export"):
        raise BadRequest("the export parameter, deprecated since v1.14, is no longer supported")


def of_write(verb: str, query: MultiMapping[str], user_agent: str, *, applies: bool) -> WriteOptions:
    """Raises: Invalid."""
    if verb not in _WRITES:
        return NOT_WRITTEN
    stated, force, validation = query.get("fieldManager", ""), flag(query, "force"), query.get("fieldValidation", "")
    dry_run = query.getall("dryRun", [])
    found = manager_causes(verb, stated, applies=applies, force=force)
    found += dry_run_causes(dry_run)
    if validation not in _VALIDATIONS:
        found.append(causes.not_supported("fieldValidation", validation, _VALIDATIONS))
    if found:
        raise Invalid("meta.k8s.io", f"{verb.capitalize()}Options", "", found)
    return WriteOptions(bool(dry_run), stated or agent_name(user_agent), stated, bool(force), validation)


def of_list(query: Mapping[str, str], name: str) -> ListOptions:
    """`name` is the one object a watch of one is about. Raises: BadRequest."""
    fields = query.get("fieldSelector", f"metadata.name={name}" if name else "")
    if not query and not fields:
        return _EVERYTHING
    number(query, "timeoutSeconds")
    return ListOptions(
        labels=query.get("labelSelector", ""),
        fields=fields,
        limit=number(query, "limit") or 0,
        more=query.get("continue", ""),
        revision=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        bookmarks=bool(flag(query, "allowWatchBookmarks")),
        initial_events=flag(query, "sendInitialEvents"),
    )


_EVERYTHING = ListOptions()


def of_delete(query: MultiMapping[str]) -> DeleteOptions:
    """Raises: BadRequest, Invalid."""
    asked: Object = {
        "gracePeriodSeconds": number(query, "gracePeriodSeconds"),
        "propagationPolicy": query.get("propagationPolicy"),
        "orphanDependents": flag(query, "orphanDependents"),
        "dryRun": query.getall("dryRun", []),
        "preconditions": {"uid": query.get("uid"), "resourceVersion": query.get("resourceVersion")},
    }
    return DeleteOptions.of(asked)


def of_delete_body(raw: bytes, content_type: str) -> DeleteOptions:
    """Raises: BadRequest, Invalid."""
    return DeleteOptions.of(decode.options(_DELETE_OPTIONS, raw, content_type))
