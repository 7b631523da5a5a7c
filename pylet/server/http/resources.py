"""The verbs on resources: a request becomes a registry call, and its result an answer in the form asked for."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

import orjson
from aiohttp import web
from multidict import MultiMapping

from pylet.aio.apart import LARGE_BYTES, apart
from pylet.aio.prometheus import Histogram
from pylet.api.errors import (
    ApiError,
    BadRequest,
    Expired,
    RequestEntityTooLarge,
    Timeout,
)
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.api.wire import decode
from pylet.client.interface import PatchType
from pylet.client.view import Entry
from pylet.server import audit
from pylet.server.auth.reviews import Reviews
from pylet.server.auth.token_requests import TokenRequests
from pylet.server.http import options, sending
from pylet.server.http import representation as form
from pylet.server.http.allowed import body_kind, check, patch_type, verbs_of
from pylet.server.http.answer import Answer, Headers, Streamed
from pylet.server.http.negotiation import (
    JSON_TYPE,
    PLAIN,
    YAML_TYPE,
    Media,
    Shape,
    accepted,
    content_type,
    wants_indent,
)
from pylet.server.http.protocols import is_websocket
from pylet.server.http.request_info import RequestInfo
from pylet.server.http.watching import Told, Watches
from pylet.server.registry import DeleteOptions, ListOptions, MayCreate, Page, Registry, Request, User, Written

BODY_BYTES = 3 << 20
_SENT_BYTES = tuple(range(50_000, 3_100_000, 100_000))
_ACROSS = ("list", "watch", "deletecollection")


class Call(NamedTuple):
    """One request on one kind, on its way through the verbs."""

    http: web.BaseRequest
    info: RequestInfo
    kind: Kind
    request: Request
    query: MultiMapping[str]
    media: Media

    @property
    def wants_indent(self) -> bool:
        return wants_indent(self.query.get("pretty", ""), self.http.headers.get("User-Agent", ""))


class Resources:
    def __init__(
        self,
        registry: Registry,
        reviews: Reviews,
        token_requests: TokenRequests,
        watches: Watches,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self.kinds = registry.kinds
        self._reviews = reviews
        self._token_requests = token_requests
        self._watches = watches
        self._now = now
        self._sent = Histogram(
            "apiserver_request_body_size_bytes", "Of what is sent.", ("group", "resource", "verb"), _SENT_BYTES
        )
        self._verbs = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def metrics(self) -> Iterator[str]:
        return self._sent.lines()

    async def connect(self, info: RequestInfo, user: User, asked: Object, warnings: list[str]) -> None:
        """Ask admission, which may warn, whether that connection may be made. Raises: ApiError."""
        kind = self.kinds.by_resource(info.group, info.version, info.resource)
        if kind is not None:
            key = Key(info.namespace if kind.namespaced else "", info.name)
            request = Request(
                verb=info.verb, kind=kind, key=key, subresource=info.subresource, user=user, warnings=warnings
            )
            await self._registry.connect(request, asked)

    async def serve(
        self,
        http: web.BaseRequest,
        info: RequestInfo,
        kind: Kind,
        user: User,
        may_create: MayCreate,
    ) -> Answer | Streamed:
        """`may_create` is asked where a write makes an object. Raises: ApiError, and what that does."""
        if (nothing := check(http, info, kind)) is not None:
            return nothing
        call = self._call(http, info, kind, user, may_create)
        if kind.warning:
            call.request.warnings.append(kind.warning)
            if kind.schema is None:
                audit.annotate("k8s.io/deprecated", "true")
        try:
            answer = await self._verbs[info.verb](call)
        except ApiError as refused:
            refused.warnings = call.request.warnings
            raise
        if call.request.warnings and isinstance(answer, Answer):
            answer.headers = [*answer.headers, *warning_headers(call.request.warnings)]
        return answer

    def _call(
        self,
        http: web.BaseRequest,
        info: RequestInfo,
        kind: Kind,
        user: User,
        may_create: MayCreate,
    ) -> Call:
        query = http.query if http.query_string else options.NONE
        accept = http.headers.get("Accept", "")
        media = accepted(
            accept,
            streams=info.verb == "watch",
            has_protobuf=kind.schema is None,
            may_stream=info.verb in ("list", "watch"),
        )
        if media.shape is Shape.TABLE and "get" not in verbs_of(kind, info.subresource):
            # reviews, bindings, tokens: what is only created has no columns
            media = accepted(accept, shapes=False, has_protobuf=kind.schema is None)
        if media.type == decode.PROTOBUF_TYPE and not _has_protobuf(kind):
            media = accepted(accept, streams=info.verb == "watch", has_protobuf=False)
        seconds = options.timeout(query)
        applies = http.headers.get("Content-Type", "").startswith(PatchType.APPLY)
        write = options.of_write(info.verb, query, http.headers.get("User-Agent", ""), applies=applies)
        request = Request(
            verb=info.verb,
            kind=kind,
            key=Key(info.namespace if kind.namespaced else "", "" if info.verb in _ACROSS else info.name),
            subresource=info.subresource,
            user=user,
            dry_run=write.dry_run,
            field_manager=write.manager,
            stated_manager=write.stated,
            force=write.force,
            field_validation=write.validation,
            size=(http.content_length or BODY_BYTES) if http.body_exists else 0,
            deadline=time.monotonic() + seconds,
            may_create=may_create,
            annotations=audit.notes(),
        )
        return Call(http, info, kind, request, query, media)

    # ---- reading

    async def _get(self, call: Call) -> Answer:
        options.refuse_export(call.query)
        entry = await self._registry.get(call.request, call.query.get("resourceVersion", ""))
        return await self._shown(call, entry, 200)

    async def _list(self, call: Call) -> Answer | Streamed:
        page = await self._registry.list(call.request, _list_options(call))
        return await self._shown_list(call, page)

    async def _watch(self, call: Call) -> Streamed:
        asked = _list_options(call)
        frames = form.frames(call.kind, call.media, _include(call))
        if is_websocket(call.http):
            frames = form.in_messages(frames)
        seconds = options.number(call.query, "timeoutSeconds") or 0
        try:
            subscription = await self._registry.watch(call.request, asked)
        except (Expired, Timeout) as refused:
            return self._watches.refuse(call.http, refused, frames)
        kind, info = call.kind, call.info
        scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
        told = Told(kind.group, kind.version, kind.plural, scope, lists=bool(asked.initial_events))
        return await self._watches.serve(call.http, subscription, frames, seconds, told)

    # ---- writing

    async def _create(self, call: Call) -> Answer:
        kind = body_kind(call.kind, call.info.subresource)
        obj = await self._body(call, kind)
        if call.info.subresource == "token":
            await self._registry.admit(call.request, obj, kind)
            token = self._token_requests.answer(call.request.key, obj)
            return await self._encoded(call, kind, orjson.dumps(token), 201)
        if "get" not in kind.verbs and not call.info.subresource and kind.verbs and kind.plural != "bindings":
            await self._registry.admit(call.request, obj, kind)
            review = await self._reviews.answer(kind, obj, call.request.user, call.info.namespace)
            return await self._encoded(call, kind, orjson.dumps(review), 201)
        written = await self._registry.create(call.request, obj)
        if written.entry.revision == 0 and not call.request.dry_run:
            return await self._encoded(call, None, written.entry.raw, 201)  # what binding and eviction answer
        return await self._shown(call, written.entry, 201)

    async def _update(self, call: Call) -> Answer:
        obj = await self._body(call, body_kind(call.kind, call.info.subresource))
        return await self._written(call, await self._registry.update(call.request, obj))

    async def _patch(self, call: Call) -> Answer:
        type_ = patch_type(call.http, call.kind)
        raw = await self._read(call, "patch")
        try:
            media = YAML_TYPE if type_ is PatchType.APPLY else JSON_TYPE
            document = await apart(len(raw), partial(decode.parse, raw, media))
        except BadRequest as bad:
            why = bad.message.rpartition("json parse error: ")[2]
            raise BadRequest(_PATCH_ERRORS.get(type_, "error decoding patch: ") + why) from bad
        patched = await self._registry.patch(call.request, document.value, type_, document.duplicates)
        return await self._written(call, patched)

    async def _delete(self, call: Call) -> Answer:
        asked, request = await self._delete_options(call)
        deleted = await self._registry.delete(request, asked)
        is_status = deleted.body.startswith(b'{"kind":"Status"')
        body = deleted.body
        if not is_status and call.kind.stored_as is not None:
            body = orjson.dumps(call.kind.from_stored(orjson.loads(body)))
        return await self._encoded(call, None if is_status else call.kind, body, deleted.code)

    async def _delete_collection(self, call: Call) -> Answer | Streamed:
        selection = _list_options(call)
        await self._registry.select(call.request, selection)
        asked, request = await self._delete_options(call)
        return await self._shown_list(call, await self._registry.delete_collection(request, selection, asked))

    async def _delete_options(self, call: Call) -> tuple[DeleteOptions, Request]:
        """A body that is there makes the query unimportant."""
        verb = "delete" if call.info.verb == "delete" else "delete_collection"
        raw = await self._read(call, verb) if call.http.body_exists else b""
        if raw:
            type_ = content_type(call.http.headers.get("Content-Type", ""))
            asked = await apart(len(raw), partial(options.of_delete_body, raw, type_))
        else:
            asked = options.of_delete(call.query)
        return asked, replace(call.request, dry_run=asked.dry_run)

    async def _body(self, call: Call, kind: Kind) -> Object:
        type_ = content_type(call.http.headers.get("Content-Type", ""))
        raw = await self._read(call, call.info.verb)
        of_kind = partial(decode.of_kind, kind, raw, type_, call.request.field_validation)
        obj, warnings = await apart(len(raw), of_kind)
        call.request.warnings.extend(warnings)
        audit.requested(kind, obj)
        return obj

    async def _read(self, call: Call, verb: str) -> bytes:
        """The body, which `verb` sends. Raises: RequestEntityTooLarge."""
        try:
            raw = await call.http.read()
        except web.HTTPRequestEntityTooLarge as large:
            raise RequestEntityTooLarge(f"Request entity too large: limit is {BODY_BYTES}") from large
        self._sent.observe(len(raw), call.info.group, call.kind.plural, verb)
        return raw

    # ---- answering

    async def _written(self, call: Call, written: Written) -> Answer:
        return await self._shown(call, written.entry, 201 if written.created else 200)

    async def _shown(self, call: Call, entry: Entry, code: int) -> Answer:
        media = call.media
        kind = body_kind(call.kind, call.info.subresource) if call.info.subresource else call.kind
        if media is PLAIN or media == PLAIN:
            body = form.raw(kind, entry)
            if call.wants_indent:
                body = await apart(len(body), partial(form.pretty, body))
            return sending.whole(call.http, body, code, media.type)
        made = form.one(kind, entry, media, self._now(), _include(call))
        definition = kind.definition if media.shape is Shape.OBJECT else form.PARTIAL
        return await self._as_media(call, made, definition, code)

    async def _encoded(self, call: Call, kind: Kind | None, body: bytes, code: int) -> Answer:
        """An answer made on the spot: JSON of that kind, or of a Status, which never becomes a table."""
        if kind is not None and call.media.shape is not Shape.OBJECT:
            made = Entry(Key("", ""), 0, body, "", {}, (), ())
            return await self._shown(call, made, code)
        return await self._as_media(call, body, form.STATUS if kind is None else kind.definition, code)

    async def _as_media(self, call: Call, body: bytes, definition: str, code: int) -> Answer:
        """JSON as the media type has it."""
        media = call.media
        if call.wants_indent and media.type == JSON_TYPE:
            media = media._replace(is_pretty=True)
        found = await apart(len(body), partial(form.encoded, body, media, definition=definition))
        return sending.whole(call.http, found, code, media.type)

    async def _shown_list(self, call: Call, page: Page) -> Answer | Streamed:
        media = call.media
        listed = form.many(call.kind, page, media, self._now(), _include(call))
        pieces: Iterable[bytes] = listed.pieces
        size = listed.length
        if size is None:
            pieces = made = []
            waits = LARGE_BYTES if media.type == YAML_TYPE and media.shape is Shape.OBJECT else 0
            while (piece := await apart(waits, partial(next, listed.pieces, None))) is not None:
                made.append(piece)
                await asyncio.sleep(0)  # others want to be served while a long list is made
            size = sum(map(len, made))
        if media.type == JSON_TYPE and call.wants_indent:
            body = form.pretty(b"".join(pieces))
            pieces, size = [body], len(body)
        return await sending.joined(call.http, pieces, size, media.type)


_MOST_WARNING, _MOST_WARNED = 256, 4096


def warning_headers(texts: Sequence[str]) -> Headers:
    """Where all of them are long, of each its beginning, and of very many the first.

    Source: apiserver pkg/endpoints/filters/warning.go, apimachinery pkg/util/net.NewWarningHeader.
    """
    told = [text for text in dict.fromkeys(texts) if text and not _CONTROL.search(text)]
    if sum(map(len, told)) > _MOST_WARNED:
        told = [text[:_MOST_WARNING] for text in told]
    left = _MOST_WARNED
    for text in told:
        if left <= 0:
            return
        left -= len(text)
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        yield "Warning", f'299 - "{quoted}"'


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PATCH_ERRORS = {PatchType.APPLY: "error decoding YAML: ", PatchType.STRATEGIC: ""}


def _list_options(call: Call) -> ListOptions:
    return options.of_list(call.query, call.info.name)


def _include(call: Call) -> str:
    """Raises: BadRequest."""
    asked = call.query.get("includeObject", "")
    if asked not in ("", "None", "Metadata", "Object") and call.media.shape is Shape.TABLE:
        why = f"includeObject: Invalid value: \"{asked}\": must be 'Metadata', 'Object', 'None', or empty"
        raise BadRequest(f"Unable to convert to Table as requested: {why}")
    return asked


def _has_protobuf(kind: Kind) -> bool:
    from pylet.api.wire import protobuf

    return protobuf.has_message(kind.definition)
