"""Pages of a list, in key order, at the revision the client may ask for.

Source: apiserver pkg/storage/continue.go, etcd3/errors.go, cacher; apimachinery metainternalversion validation.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from pylet.api import causes
from pylet.api.errors import BadRequest, Cause, Expired, Invalid
from pylet.api.object import Key, Object
from pylet.server.registry.answers import Page
from pylet.server.registry.cache import Cache
from pylet.server.registry.request import ListOptions
from pylet.server.registry.selection import Selection

EXACT = "Exact"
NOT_OLDER = "NotOlderThan"
_NOT_BASE64 = re.compile("[^A-Za-z0-9_-]")
_TOKEN_VERSION = "meta.k8s.io/v1"
_FROM_NOW = -1  # in a token: the rest of the list as it is now
_INCONSISTENT = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
_LIST_TOO_OLD = "The resourceVersion for the provided list is too old."


class ContinueExpired(Expired):
    """The token's revision is gone; `token` goes on from the same place in the present."""

    def __init__(self, token: str) -> None:
        super().__init__(_INCONSISTENT)
        self.token = token

    def status(self) -> Object:
        return super().status() | {"metadata": {"continue": self.token}}


class Token(NamedTuple):
    """A continue token: the list at `revision`, after the object `after`."""

    revision: int
    after: Key

    def __str__(self) -> str:
        start = f"{'/'.join(part for part in self.after if part)}\0"
        body = orjson.dumps({"v": _TOKEN_VERSION, "rv": self.revision, "start": start})
        return base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Token:
        """Raises: BadRequest."""
        try:
            body = _decoded(text)
            if body["v"] != _TOKEN_VERSION:
                raise BadRequest(
                    f"invalid continue token: continue key is not valid: unrecognized encoded version {body['v']}"
                )
            namespace, _, name = body["start"].rstrip("\0").rpartition("/")
            revision = int(body["rv"])
        except (ValueError, KeyError, TypeError, AttributeError) as bad:
            raise _bad_token(str(bad)) from bad
        if not revision:
            raise _bad_token("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
        return cls(revision, Key(namespace, name))


def _decoded(text: str) -> Any:
    """Raises: ValueError, in Go's words."""
    strange = _NOT_BASE64.search(text)
    if strange is not None or len(text) % 4 == 1:
        raise ValueError(f"illegal base64 data at input byte {strange.start() if strange else len(text) - 1}")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as bad:
        if bad.pos >= len(raw):
            raise ValueError("unexpected end of JSON input") from bad
        at = bad.pos
        char = chr(raw[at]) if raw[at] < 0x80 else f"\\x{raw[at]:02x}"
        raise ValueError(f"invalid character '{char}' looking for beginning of value") from bad


def _bad_token(why: str) -> BadRequest:
    return BadRequest(f"invalid continue token: continue key is not valid: {why}")


def validate(options: ListOptions) -> None:
    """Raises: Invalid."""
    match = options.match
    found: list[Cause] = []
    if options.initial_events is not None:
        found.append(causes.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if match:
        if not options.revision:
            why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            found.append(causes.forbidden("resourceVersionMatch", why))
        if options.more:
            why = "resourceVersionMatch is forbidden when continue is provided"
            found.append(causes.forbidden("resourceVersionMatch", why))
        if match not in (EXACT, NOT_OLDER):
            found.append(causes.not_supported("resourceVersionMatch", match, (EXACT, NOT_OLDER, "")))
        if match == EXACT and options.revision == "0":
            why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            found.append(causes.forbidden("resourceVersionMatch", why))
    _refuse(found)


def validate_watch(options: ListOptions) -> None:
    """Raises: Invalid."""
    match = options.match
    found: list[Cause] = []
    if options.initial_events is not None and match != NOT_OLDER:
        why = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER}"
        found.append(causes.forbidden("resourceVersionMatch", why))
    if match:
        if options.initial_events is None:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            found.append(causes.forbidden("resourceVersionMatch", why))
        if match != NOT_OLDER:
            found.append(causes.not_supported("resourceVersionMatch", match, (NOT_OLDER,)))
    if options.more:
        why = "resourceVersionMatch is forbidden when continue is provided"
        found.append(causes.forbidden("resourceVersionMatch", why))
    _refuse(found)


def _refuse(found: Sequence[Cause]) -> None:
    if found:
        raise Invalid("meta.k8s.io", "ListOptions", "", found)


def revision_number(text: str) -> int:
    """A client's resourceVersion; "" is 0. Raises: BadRequest."""
    if not text:
        return 0
    problem = ""
    if not (text.isascii() and text.isdigit()):
        problem = "invalid syntax"
    elif int((text.lstrip("0") or "0")[:40]) >= 1 << 64:
        problem = "value out of range"
    if problem:
        why = causes.invalid("resourceVersion", text, f"strconv.ParseUint: parsing {causes.quoted(text)}: {problem}")
        raise BadRequest(f"invalid resource version: {why}")
    return int(text.lstrip("0") or "0")


def asked_revision(options: ListOptions) -> tuple[int, bool]:
    """The revision a list must show or exceed, and whether it must show exactly that one. Raises: BadRequest."""
    if options.more:
        revision = Token.parse(options.more).revision
        if options.revision not in ("", "0"):
            raise BadRequest("specifying resource version is not allowed when using continue")
        return (0, False) if revision == _FROM_NOW else (revision, True)
    revision = revision_number(options.revision)
    # Without a match, a limited list at a revision has always meant exactly that revision.
    return revision, bool(revision) and (options.match == EXACT or (not options.match and options.limit > 0))


def page(cache: Cache, selection: Selection, options: ListOptions, current: int) -> Page:
    """One page; `current` is the revision the cache has reached. Raises: Expired, BadRequest."""
    revision, exactly = asked_revision(options)
    after = Token.parse(options.more).after if options.more else None
    if exactly:
        try:
            ordered = cache.at(revision)
        except Expired as gone:
            if after is not None:
                raise ContinueExpired(str(Token(_FROM_NOW, after))) from gone
            raise Expired(_LIST_TOO_OLD) from gone
    else:
        revision = current
        cache.consistent += not options.revision
        if selection.is_indexed and not options.limit and after is None:
            found = sorted(selection.of(cache.table), key=lambda entry: entry.key)
            _note(cache, selection.index, len(found), len(found))
            return Page(found, revision)
        ordered = cache.in_order()
    where = ordered.span(selection.namespace, selection.name, after)
    matching, size = selection.among(ordered, where), where.stop - where.start
    found = list(islice(matching, min(options.limit, size)) if options.limit > 0 else matching)
    _note(cache, "", size, len(found))
    if next(matching, None) is None:
        return Page(found, revision)
    remaining = size - len(found) if selection.is_plain else None
    return Page(found, revision, str(Token(revision, found[-1].key)), remaining)


def _note(cache: Cache, index: str, looked_at: int, found: int) -> None:
    lists = cache.lists[index]
    lists[0] += 1
    lists[1] += looked_at
    lists[2] += found
