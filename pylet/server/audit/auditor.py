"""What the HTTP room calls: a request is begun, may start a long answer, and is done; parts of the server write
`inside`."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from pylet.api import kinds
from pylet.api.errors import ApiError
from pylet.api.object import Object
from pylet.api.wire import decode
from pylet.server.audit import NOTES, RECORD, notes
from pylet.server.audit.log import AuditLog
from pylet.server.audit.policy import COMPLETE, RECEIVED, STARTED, Level, Policy
from pylet.server.audit.record import Record
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.registry import Request, User

if TYPE_CHECKING:
    from aiohttp import web

T = TypeVar("T")
_LONG_RUNNING = frozenset({"attach", "exec", "proxy", "log", "portforward"})
_DELETING = ("delete", "deletecollection")
_OF_ANY_GROUP = ("DeleteOptions", "Status")
_DELETE_OPTIONS = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/__internal"}
_DECISION, _REASON = "authorization.k8s.io/decision", "authorization.k8s.io/reason"


class Auditor:
    def __init__(self, policy: Policy, log: AuditLog, now: Callable[[], datetime]) -> None:
        self._policy = policy
        self._log = log
        self._now = now

    def metrics(self) -> tuple[int, int]:
        """Events so far, and those that were lost."""
        return self._log.told, self._log.lost

    @staticmethod
    def expect() -> None:
        """A request has come; what is noted of it from here on is written down."""
        NOTES.set({})

    def begin(self, http: web.BaseRequest, asked: Attributes, id_: str) -> None:
        """`asked.user` is who authenticated."""
        if (record := self._record(http, asked, id_)) is not None:
            RECORD.set(record)
            self._add(record, RECEIVED)

    def _record(self, http: web.BaseRequest, asked: Attributes, id_: str) -> Record | None:
        detail = self._policy.decide(asked)
        if detail.level is Level.NONE:
            return None
        headers = http.headers
        agent = headers.get("User-Agent", "")
        record = Record(id_, http.path_qs, asked, detail, self._now(), _source_ips(http), agent, notes())
        if asked.verb == "watch" or asked.subresource in _LONG_RUNNING:
            record.on_start = partial(self._started, record)
        return record

    async def refuse(self, http: web.BaseRequest, asked: Attributes, id_: str) -> None:
        """The one event of who could not authenticate. Source: filters/authn_audit.go."""
        if (record := self._record(http, asked, id_)) is not None:
            told = {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": "Unauthorized",
                "reason": "Unauthorized",
                "code": 401,
            }
            self._add(record, STARTED, 401, response=told)
            await self._log.written()

    @staticmethod
    def impersonated(user: User, constraint: str) -> None:
        if (record := RECORD.get()) is not None:
            record.acting, record.constraint = user, constraint

    @staticmethod
    def authorized(decision: Decision) -> None:
        if (record := RECORD.get()) is None or _REASON in record.annotations:
            return  # what is asked beside, about a part of the request, is not told
        if decision.error and not decision.allowed:
            record.annotations[_REASON] = "internal error"
            return
        record.annotations[_DECISION] = "allow" if decision.allowed else "forbid"
        record.annotations[_REASON] = decision.reason

    async def end(self, http: web.BaseRequest, status: int, type_: str, body: bytes) -> None:
        """`body` is what is answered, "" for a stream. Who is answered finds it in the log, as upstream, where nothing
        short is sent before it is written down."""
        record = RECORD.get()
        if record is None:
            return
        RECORD.set(None)
        request = response = None
        if record.detail.level >= Level.METADATA and record.asked.verb not in ("get", "list", "watch"):
            raw = http._read_bytes  # what the handler has read; bodies of streams are never read
            request = record.request or (decoded(raw, http.headers.get("Content-Type", "")) if raw else None)
            if record.asked.verb in _DELETING and isinstance(request, dict):
                request = {**request, **_DELETE_OPTIONS}
        if record.detail.level >= Level.REQUEST_RESPONSE or status >= 400 or _answers_status(record.asked):
            response = decoded(body, type_) if body and _may_tell(record.asked.path, status) else None
        if record.on_start is not None:  # it might have gone on for long
            self._add(record, STARTED, status, request, response)
        self._add(record, COMPLETE, status, request, response)
        await self._log.written()

    async def inside(
        self, request: Request, body: Object, writing: Awaitable[T], answered: Callable[[T], tuple[int, bytes]]
    ) -> T:
        """What `writing` brings, a write of a part of the server: written down as a request. `body` is what it sends;
        `answered` tells status and text of an answer."""
        kind, (namespace, name), subresource = request.kind, request.key, request.subresource
        asked = Attributes(
            request.user, request.verb, kind.group, kind.version, kind.plural, subresource, namespace, name
        )
        detail = self._policy.decide(asked)
        if detail.level is Level.NONE:
            return await writing
        uri = kind.path(namespace, "" if request.verb == "create" else name, subresource)
        id_, sent = str(uuid.uuid4()), orjson.loads(orjson.dumps(body))
        record = Record(id_, uri, asked, detail, self._now(), [], request.field_manager, request.annotations)
        self._add(record, RECEIVED)
        try:
            found = await writing
        except ApiError as refused:
            self._add(record, COMPLETE, refused.code, sent, refused.status())
            raise
        status, text = answered(found)
        told = orjson.loads(text) if detail.level >= Level.REQUEST_RESPONSE or _answers_status(asked) else None
        self._add(record, COMPLETE, status, sent, told)
        return found

    def _started(self, record: Record, status: int) -> None:
        record.on_start = None
        self._add(record, STARTED, status)

    def _add(self, record: Record, stage: str, status: int = 0, request: Any = None, response: Any = None) -> None:
        event = record.event(stage, self._now(), status, request, response)
        if event is not None:
            self._log.add(event)


def _answers_status(asked: Attributes) -> bool:
    return asked.verb == "delete" or asked.subresource in ("binding", "eviction") or asked.resource == "bindings"


def _may_tell(path: str, status: int) -> bool:
    """Whether an object may be the answer: of what is no resource, discovery's and refusals are."""
    return not path or status >= 400 or f"{path}/".startswith(("/api/", "/apis/"))


def decoded(raw: bytes, content_type: str) -> Any:
    """A body as JSON has it; None for one that can't be read."""
    type_ = content_type.partition(";")[0].strip()
    try:
        if type_ != decode.PROTOBUF_TYPE:
            return decode.parse(raw, type_ if type_ in decode.YAML_TYPES else "application/json").value
        from pylet.api.wire import protobuf

        head = protobuf.head(raw)
        version, name = head.get("apiVersion", ""), head.get("kind", "")
        if name in _OF_ANY_GROUP:
            return {**head, **protobuf.body(raw, f"io.k8s.apimachinery.pkg.apis.meta.v1.{name}")}
        group, _, version = version.rpartition("/")
        if (kind := kinds.by_kind(group, version, name.removesuffix("List"))) is None:
            return None
        read = protobuf.items if name.endswith("List") else protobuf.body
        return {**head, **read(raw, kind.definition)}
    except (ApiError, ValueError, KeyError):
        return None


def _source_ips(http: web.BaseRequest) -> list[str]:
    found = [address.strip() for address in http.headers.get("X-Forwarded-For", "").split(",") if address.strip()]
    if (real := http.headers.get("X-Real-Ip", "").strip()) and real not in found:
        found.append(real)
    if http.remote and http.remote not in found[-1:]:
        found.append(http.remote)
    return found
