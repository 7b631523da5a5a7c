"""The OpenAPI documents over HTTP: built when somebody asks, kept compressed, forgotten when nobody does.

A document is told by a hash of what it is made from, so that the index costs no building; with that hash in the query
the answer may be kept for a year. kubectl reads version 3 to explain, to find out whether the server validates fields,
and version 2, in gnostic's protobuf, to validate by itself.
Source: kube-openapi pkg/{handler,handler3}.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
from collections.abc import Iterable
from email.utils import formatdate
from typing import TypeAlias

import orjson
from aiohttp import web

from pylet.api.errors import NotAcceptable
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.wire.accept import clauses
from pylet.server.http.answer import JSON, TEXT, Answer, Streamed
from pylet.server.http.discovery import Kinds, subresources_of
from pylet.server.http.extensions import Extensions, Swaggers
from pylet.server.registry.customs import answers_deleted
from pylet.version import VERSION

log = logging.getLogger(__name__)

_YEAR_SECONDS = 365 * 24 * 3600
_UNUSED_SECONDS = 300
_GNOSTIC = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_GNOSTIC_NAMES = (_GNOSTIC, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")  # @ is no letter of a type
_WHOLE = "v2"
_Which: TypeAlias = tuple[str, str, str]
"""Name, type and tag of a document."""


class OpenApi:
    def __init__(self, kinds: Kinds, extensions: Extensions) -> None:
        self._served = kinds
        self._extensions = extensions
        self._generation = -1, -1
        self._hashes: dict[str, str] = {}
        self._kept: dict[_Which, bytes] = {}
        self._building: dict[_Which, asyncio.Future[bytes]] = {}
        self._forgetting: asyncio.TimerHandle | None = None

    async def answer(self, http: web.BaseRequest) -> Answer | Streamed:
        """For a path below /openapi. Raises: ApiError."""
        self._refresh()
        match http.path.removeprefix("/openapi/").split("/", 1):
            case ["v2"]:
                type_ = _type_of(http.headers.get("Accept", ""))
                return await self._document(http, _WHOLE, type_, await self._extensions.swaggers())
            case ["v3"]:
                urls = {root: self._url(root) for root in self._all()} | await self._extensions.openapi()
                index = {"paths": {root: {"serverRelativeURL": url} for root, url in sorted(urls.items())}}
                return self._tagged(http, orjson.dumps(index), TEXT, _hash(orjson.dumps(index)), encoding="")
            case ["v3", root] if root in self._all():
                return await self._v3(http, root)
            case ["v3", root] if (found := await self._extensions.serve_openapi(http, root)) is not None:
                return found
            case ["v3", _]:
                return Answer(b"", 404, "")
        return Answer.text("404 page not found\n", 404)

    async def _v3(self, http: web.BaseRequest, root: str) -> Answer:
        asked = http.query.get("hash", "")
        if asked and asked != self._hash_of(root):
            return Answer(b"", 301, JSON, (("Location", self._url(root)), ("Vary", "Accept")))
        return await self._document(http, root, JSON)

    async def _document(self, http: web.BaseRequest, name: str, type_: str, others: Swaggers = ()) -> Answer:
        tag = self._hash_of(name)
        if others:
            tag = _hash(b"".join((tag.encode(), *(hashlib.sha512(body).digest() for _, body in others))))
        if _is_known(http, tag):
            return Answer(b"", 304, type_, _caching(tag, immutable="hash" in http.query))
        packed = await self._packed((name, type_, tag), others)
        self._forget_later()
        takes_gzip = "gzip" in http.headers.get("Accept-Encoding", "")
        body = packed if takes_gzip else gzip.decompress(packed)
        return self._tagged(http, body, type_, tag, encoding="gzip" if takes_gzip else "")

    def _tagged(self, http: web.BaseRequest, body: bytes, type_: str, tag: str, *, encoding: str) -> Answer:
        headers = _caching(tag, immutable="hash" in http.query)
        if _is_known(http, tag):
            return Answer(b"", 304, type_, headers)
        return Answer(body, type_=type_, headers=(*headers, ("Content-Encoding", encoding)) if encoding else headers)

    async def _packed(self, key: _Which, others: Swaggers) -> bytes:
        """The compressed document; those who ask while it is being built wait for the same."""
        if key not in self._kept:
            building = self._building.get(key)
            if building is None:
                # A thread, since building takes up to a second and others want to be served meanwhile.
                building = asyncio.ensure_future(asyncio.to_thread(_build, self._kinds(), *key[:2], others))
                self._building[key] = building
                generation = self._generation
                building.add_done_callback(lambda done: self._built(key, done, generation))
            return await asyncio.shield(building)
        return self._kept[key]

    def _built(self, key: _Which, done: asyncio.Future[bytes], generation: tuple[int, int]) -> None:
        self._building.pop(key, None)
        if not done.cancelled() and done.exception() is None and generation == self._generation:
            for older in [one for one in self._kept if one[:2] == key[:2]]:
                del self._kept[older]
            self._kept[key] = done.result()

    def _refresh(self) -> None:
        generation = self._served.generation, self._extensions.generation
        if self._generation != generation:
            self._generation = generation
            self._hashes.clear()
            self._kept.clear()
            self._building.clear()

    def _forget_later(self) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(_UNUSED_SECONDS, self._forget)

    def _forget(self) -> None:
        self._kept.clear()
        self._hashes.clear()

    def _all(self) -> dict[str, str]:
        """The documents' names and hashes."""
        if not self._hashes:
            documents = _documents(self._kinds())
            self._hashes = {name: _hash(_fingerprint(name, kinds)) for name, kinds in documents.items()}
        return self._hashes

    def _kinds(self) -> list[Kind]:
        return [*self._served, *self._extensions.own_kinds()]

    def _hash_of(self, name: str) -> str:
        return _hash("".join(self._all().values()).encode()) if name == _WHOLE else self._all()[name]

    def _url(self, root: str) -> str:
        return f"/openapi/v3/{root}?hash={self._hash_of(root)}"


def _type_of(accept: str) -> str:
    for clause in clauses(accept):
        if clause.type in ("*/*", "application/*", JSON):
            return JSON
        if clause.type in _GNOSTIC_NAMES:
            return _GNOSTIC
    raise NotAcceptable(f"only the following media types are accepted: {JSON}, {_GNOSTIC}")


def _documents(kinds: Iterable[Kind]) -> dict[str, list[Kind]]:
    """The kinds of each version 3 document, by its name; those of a group alone have none, custom groups no such."""
    from pylet.api.schema.operations import ROOT_PATHS, root_of

    found: dict[str, list[Kind]] = {name: [] for name in ROOT_PATHS}
    for kind in kinds:
        if kind.verbs:
            if kind.group and kind.definition:
                found.setdefault(root_of(kind.group), [])
            found.setdefault(root_of(kind.group, kind.version), []).append(kind)
    return found


def _fingerprint(name: str, kinds: Iterable[Kind]) -> bytes:
    told = [
        (
            kind.name,
            kind.list_kind,
            kind.verbs,
            kind.subresources,
            kind.namespaced,
            tuple(kind.fields),
            _published(kind),
        )
        for kind in kinds
    ]
    return orjson.dumps([VERSION, name, told])


def _published(kind: Kind) -> Object | None:
    return getattr(kind.schema, "published", None)


def _build(kinds: list[Kind], name: str, type_: str, others: Swaggers) -> bytes:
    from pylet.api.schema import openapi
    from pylet.api.schema.operations import ROOT_PATHS, Paths, group_path, paths_of, version_path

    documents = _documents(kinds)
    paths: Paths = {}
    chosen = documents if name == _WHOLE else {name: documents[name]}
    for root, members in chosen.items():
        parts = root.split("/")
        if root in ROOT_PATHS:
            paths |= ROOT_PATHS[root]
        elif not members:
            paths |= group_path(parts[1])
        else:
            if members[0].definition:
                paths |= version_path(members[0].group, members[0].version)
            paths |= paths_of(members, subresources_of, answers_deleted)
    custom = [kind for members in chosen.values() for kind in members if kind.schema is not None]
    if name == _WHOLE:
        made = openapi.swagger(paths, custom)
        for root, body in others:
            _merge(made, root, body)
    else:
        members = documents[name]
        made = openapi.document(paths, custom, (members[0].group, members[0].version) if members else ("", "v1"))
    if type_ == _GNOSTIC:
        from pylet.api.wire import gnostic

        return gzip.compress(gnostic.document(made), 1)
    return gzip.compress(orjson.dumps(made), 1)


def _merge(made: Object, root: str, body: bytes) -> None:
    from pylet.api.schema import merging
    from pylet.api.wire import gnostic

    try:
        part = merging.part(orjson.loads(body), f"/{root}/", made["paths"])
        gnostic.document(made | part)  # that it can be told in that form, too
        merging.merge(made, part)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as bad:
        log.warning("the OpenAPI document (version 2) of %s is none: %r", root, bad)


def _is_known(http: web.BaseRequest, tag: str) -> bool:
    return f'"{tag}"' in http.headers.get("If-None-Match", "")


def _caching(tag: str, *, immutable: bool) -> tuple[tuple[str, str], ...]:
    headers = (("ETag", f'"{tag}"'), ("Vary", "Accept-Encoding"), ("Vary", "Accept"))
    if not immutable:
        return headers
    import time

    expires = formatdate(time.time() + _YEAR_SECONDS, usegmt=True)
    return (*headers, ("Cache-Control", "public, immutable"), ("Expires", expires))


def _hash(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest().upper()
