"""One request from its first line to its answer: authenticate, authorize, find who serves it, word what goes wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from aiohttp import web

from pylet.aio.apart import apart
from pylet.api.causes import quoted
from pylet.api.errors import ApiError, InternalError
from pylet.client.interface import PatchType
from pylet.server import spent
from pylet.server.auth.attributes import HTML, Attributes
from pylet.server.flow import Limiter, Rejected
from pylet.server.http.access import Access, Undecided
from pylet.server.http.allowed import not_found
from pylet.server.http.answer import FLOW, Answer, Streamed
from pylet.server.http.connecting import connect_options
from pylet.server.http.extensions import Extensions
from pylet.server.http.kubelet_proxy import KubeletProxy
from pylet.server.http.paths import Paths
from pylet.server.http.proxies import Proxies
from pylet.server.http.refusals import refusal
from pylet.server.http.request_info import RequestInfo, request_info
from pylet.server.http.resources import Resources, warning_headers
from pylet.server.http.tunnels import PATH as TUNNEL_PATH
from pylet.server.http.tunnels import Tunnels
from pylet.server.metrics import Asked, Metrics
from pylet.server.registry import User

log = logging.getLogger(__name__)

_COMPONENT = "apiserver"
_METHODS = {"create": "POST", "update": "PUT", "deletecollection": "DELETE"}  # what metrics call these verbs
_OF_MANY = ("list", "watch", "deletecollection")
_READING = ("get", "list", "watch", "head", "options")
_UPGRADED = ("attach", "exec", "portforward")
_LASTING = (*_UPGRADED, "log", "proxy")
_Serve: TypeAlias = Callable[[web.BaseRequest, RequestInfo], Awaitable[Answer | Streamed]]
_UNPROTECTED = ("/cacerts",)  # what an agent pins before it trusts anybody


class App:
    def __init__(
        self,
        *,
        access: Access,
        limiter: Limiter,
        resources: Resources,
        paths: Paths,
        kubelets: KubeletProxy,
        tunnels: Tunnels,
        proxies: Proxies,
        extensions: Extensions,
        metrics: Metrics,
        ca: bytes,
    ) -> None:
        self._access = access
        self._limiter = limiter
        self._resources = resources
        self._paths = paths
        self._kubelets = kubelets
        self._tunnels = tunnels
        self._proxies = proxies
        self._extensions = extensions
        self._metrics = metrics
        self._ca = ca

    async def handle(self, http: web.BaseRequest) -> Answer | Streamed:
        """Never raises for what a client sends; a bug is a 500 with one logged trace."""
        started = time.perf_counter()
        info = await apart(len(http.raw_path), partial(_info, http))
        changes, lasts = info.verb not in _READING, info.verb == "watch" or info.subresource in _LASTING
        self._metrics.in_flight[changes] += not lasts
        is_cut_off = False
        try:
            answer = await self._serve(http, info, started)
        except Rejected:
            is_cut_off = True
            answer = Answer.text("Too many requests, please try again later.\n", 429)
            answer.headers = (("Retry-After", "1"),)
        except ApiError as refused:
            answer = refusal(http, refused)
            answer.headers = [*answer.headers, *warning_headers(list(refused.warnings))]
        except Undecided as failed:
            answer = Answer.text(f"Internal Server Error: {quoted(http.path_qs)}: {failed}\n".translate(HTML), 500)
        except ConnectionResetError:
            self._metrics.left(self._asked(http, info))
            answer = Streamed(499, keep_alive=False)
        except Exception:
            log.exception("%s %s failed", http.method, http.path)
            answer = refusal(http, InternalError(f"Internal error occurred: {http.method} {http.path} failed"))
        finally:
            self._metrics.in_flight[changes] -= not lasts
            others = spent.take() if spent.BY_REQUEST else 0.0
        seconds = time.perf_counter() - started
        asked = self._asked(http, info)
        if is_cut_off:
            self._metrics.cut_off(asked, answer.status)
        else:
            dry_run = "All" if "dryRun=All" in http.query_string else ""
            self._metrics.count(asked, dry_run, answer.status, seconds, answer.size)
            if others and not dry_run:
                self._metrics.others_took(asked, seconds, others)
        await self._access.leave(http, answer)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s %d %.1f ms", http.method, http.path_qs, answer.status, seconds * 1000)
        return answer

    def _asked(self, http: web.BaseRequest, info: RequestInfo) -> Asked:
        """Names that nothing has are left out: anybody may ask for any, and each would be remembered for ever."""
        kind = self._resources.kinds.by_resource(info.group, info.version, info.resource)
        if info.subresource in _LASTING:
            verb = "CONNECT"
        elif info.verb == "patch" and http.headers.get("Content-Type", "").startswith(PatchType.APPLY):
            verb = "APPLY"
        else:
            verb = _METHODS.get(info.verb) or info.verb.upper()
        if kind is None:
            return Asked(_COMPONENT, "", "", "", "", verb, "")
        subresource = info.subresource if info.subresource in kind.subresources else ""
        is_named = info.name and (info.verb not in _OF_MANY or info.path.endswith(f"/{info.name}"))
        is_one = is_named or info.verb == "create"
        scope = "resource" if is_one else "namespace" if info.namespace else "cluster"
        asked = Asked(_COMPONENT, kind.group, kind.plural, scope, subresource, verb, kind.version)
        if kind.warning:
            self._metrics.is_deprecated(asked)
        return asked

    async def _serve(self, http: web.BaseRequest, info: RequestInfo, started: float) -> Answer | Streamed:
        if info.path in _UNPROTECTED:
            return Answer(self._ca, type_="application/x-pem-file")
        asked = await self._access.enter(http, info, started)
        seat = await self._limiter.enter(asked)
        FLOW.set(seat.headers)
        if info.verb == "watch" or info.subresource in _LASTING:
            seat.leave()  # it may last for hours
            with self._metrics.lasting(self._asked(http, info)):
                return await self._let_in(http, info, asked)
        try:
            return await self._let_in(http, info, asked)
        finally:
            seat.leave()

    async def _let_in(self, http: web.BaseRequest, info: RequestInfo, asked: Attributes) -> Answer | Streamed:
        await self._access.let_in(asked)
        user = asked.user
        if (extension := self._extensions.find(info.path)) is not None:
            return await self._extensions.serve(http, extension, user)
        if info.path == TUNNEL_PATH:
            return self._tunnels.accept(http, asked)
        if not info.resource:
            return await self._paths.serve(http, info.path)
        if self._kubelets.serves(info):
            if info.verb == "get" and info.subresource in _UPGRADED:
                # WebSocket clients open with GET what SPDY clients POST: both need the same permission.
                await self._access.check(asked._replace(verb="create"))
            return await self._connect(http, info, user, self._kubelets.serve)
        if self._proxies.serves(info):
            return await self._connect(http, info, user, self._proxies.serve)
        kind = self._resources.kinds.by_resource(info.group, info.version, info.resource)
        is_built_in = kind is not None and kind.verbs and kind.schema is None
        if not is_built_in and self._resources.kinds.has_built_in(info.group):
            raise not_found()  # whatever a definition would add to such a group
        if kind is None or not kind.verbs:
            return Answer.text("404 page not found\n", 404)
        return await self._resources.serve(http, info, kind, user, partial(self._may_create, asked))

    async def _may_create(self, asked: Attributes) -> None:
        """Raises: Forbidden, Undecided."""
        await self._access.check(asked._replace(verb="create"))

    async def _connect(self, http: web.BaseRequest, info: RequestInfo, user: User, serve: _Serve) -> Answer | Streamed:
        """What admission warns of is told with the answer, whatever that is, but of what is streamed."""
        warnings: list[str] = []
        try:
            if (options := connect_options(info, http.query)) is not None:
                await self._resources.connect(info, user, options, warnings)
            answer = await serve(http, info)
        except ApiError as refused:
            refused.warnings = [*warnings, *refused.warnings]
            raise
        if warnings and isinstance(answer, Answer):
            answer.headers = [*answer.headers, *warning_headers(warnings)]
        return answer


def _info(http: web.BaseRequest) -> RequestInfo:
    return request_info(http.method, http.path, http.query if http.query_string else {})
