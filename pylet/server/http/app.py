"""One request from its first line to its answer: authenticate, authorize, find who serves it, word what goes wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import orjson
from aiohttp import web

from pylet.api.errors import ApiError, InternalError, MethodNotAllowed
from pylet.api.object import Object
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.tokens import Tokens
from pylet.server.flow import Limiter, Rejected
from pylet.server.http.access import Access
from pylet.server.http.allowed import not_found
from pylet.server.http.answer import FLOW, Answer, Streamed
from pylet.server.http.connecting import connect_options
from pylet.server.http.discovery import Discovery
from pylet.server.http.extensions import Extensions
from pylet.server.http.health import ROOTS, Health
from pylet.server.http.kubelet_proxy import KubeletProxy
from pylet.server.http.openapi import OpenApi
from pylet.server.http.options import check_timeout
from pylet.server.http.proxies import Proxies
from pylet.server.http.refusals import refusal
from pylet.server.http.request_info import RequestInfo, request_info
from pylet.server.http.resources import Resources, warning_headers
from pylet.server.http.tunnels import PATH as TUNNEL_PATH
from pylet.server.http.tunnels import Tunnels
from pylet.server.http.watching import Watches
from pylet.server.metrics import Asked, Metrics
from pylet.server.registry import User
from pylet.version import MAJOR, MINOR, VERSION

log = logging.getLogger(__name__)

_GO_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_COMPONENT = "apiserver"
_METHODS = {"create": "POST", "update": "PUT"}  # what metrics call these verbs
_READING = ("get", "list", "watch", "head", "options")
_UPGRADED = ("attach", "exec", "portforward")
_LASTING = (*_UPGRADED, "log", "proxy")
_UNPROTECTED = ("/cacerts",)  # what an agent pins before it trusts anybody


class App:
    def __init__(
        self,
        *,
        access: Access,
        limiter: Limiter,
        resources: Resources,
        discovery: Discovery,
        openapi: OpenApi,
        kubelets: KubeletProxy,
        tunnels: Tunnels,
        proxies: Proxies,
        extensions: Extensions,
        health: Health,
        metrics: Metrics,
        watches: Watches,
        tokens: Tokens,
        ca: bytes,
        secrets_encryption: Callable[[str], Awaitable[Object]],
        flags: Callable[[], Mapping[str, str]],
    ) -> None:
        self._access = access
        self._limiter = limiter
        self._resources = resources
        self._discovery = discovery
        self._openapi = openapi
        self._kubelets = kubelets
        self._tunnels = tunnels
        self._proxies = proxies
        self._extensions = extensions
        self._health = health
        self._metrics = metrics
        self._watches = watches
        self._tokens = tokens
        self._ca = ca
        self._secrets_encryption = secrets_encryption
        self._flags = flags
        self._started = datetime.now(UTC)
        self._plain: dict[str, Callable[[], Answer]] = {
            "/version": _version,
            "/metrics": self._metrics_text,
            "/metrics/slis": lambda: _exposition("".join(f"{line}\n" for line in health.indicators())),
            "/openid/v1/jwks": lambda: Answer(orjson.dumps(tokens.jwks()), type_="application/jwk-set+json"),
            "/.well-known/openid-configuration": self._openid_configuration,
            "/": self._paths,
        }

    async def handle(self, http: web.BaseRequest) -> Answer | Streamed:
        """Never raises for what a client sends; a bug is a 500 with one logged trace."""
        started = time.perf_counter()
        info = request_info(http.method, http.path, http.query if http.query_string else {})
        changes, lasts = info.verb not in _READING, info.verb == "watch" or info.subresource in _LASTING
        self._metrics.in_flight[changes] += not lasts
        is_cut_off = False
        try:
            answer = await self._serve(http, info)
        except Rejected:
            is_cut_off = True
            answer = Answer.text("Too many requests, please try again later.\n", 429)
            answer.headers = (("Retry-After", "1"),)
        except ApiError as refused:
            answer = refusal(http, refused)
            answer.headers = [*answer.headers, *warning_headers(list(refused.warnings))]
        except ConnectionResetError:
            answer = Streamed(499, keep_alive=False)
        except Exception:
            log.exception("%s %s failed", http.method, http.path)
            answer = refusal(http, InternalError(f"Internal error occurred: {http.method} {http.path} failed"))
        finally:
            self._metrics.in_flight[changes] -= not lasts
        seconds = time.perf_counter() - started
        self._count(info, answer, seconds, is_cut_off=is_cut_off)
        self._access.leave(http, answer)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s %d %.1f ms", http.method, http.path_qs, answer.status, seconds * 1000)
        return answer

    def _count(self, info: RequestInfo, answer: Answer | Streamed, seconds: float, *, is_cut_off: bool) -> None:
        """Names that nothing has are left out: anybody may ask for any, and each would be remembered for ever."""
        kind = self._resources.kinds.by_resource(info.group, info.version, info.resource)
        verb = _METHODS.get(info.verb) or info.verb.upper()
        if kind is None:
            asked = Asked(_COMPONENT, "", "", "", "", verb, "")
        else:
            subresource = info.subresource if info.subresource in kind.subresources else ""
            is_one = info.name or info.verb == "create"
            scope = "resource" if is_one else "namespace" if info.namespace else "cluster"
            asked = Asked(_COMPONENT, kind.group, kind.plural, scope, subresource, verb, kind.version)
            if kind.warning:
                self._metrics.is_deprecated(asked)
        if is_cut_off:
            self._metrics.cut_off(asked, answer.status)
        else:
            self._metrics.count(asked, answer.status, seconds, answer.size)

    async def _serve(self, http: web.BaseRequest, info: RequestInfo) -> Answer | Streamed:
        if info.path in _UNPROTECTED:
            return Answer(self._ca, type_="application/x-pem-file")
        asked = await self._access.enter(http, info)
        seat = await self._limiter.enter(asked)
        FLOW.set(seat.headers)
        if info.verb == "watch" or info.subresource in _LASTING:
            seat.leave()  # it may last for hours
        try:
            return await self._let_in(http, info, asked)
        finally:
            seat.leave()

    async def _let_in(self, http: web.BaseRequest, info: RequestInfo, asked: Attributes) -> Answer | Streamed:
        user = asked.user
        if (extension := self._extensions.find(info.path)) is not None:
            return await self._extensions.serve(http, extension, user)
        if info.path == TUNNEL_PATH:
            return self._tunnels.accept(http, asked)
        if not info.resource:
            return await self._no_resource(http, info)
        if self._kubelets.serves(info):
            if info.verb == "get" and info.subresource in _UPGRADED:
                # WebSocket clients open with GET what SPDY clients POST: both need the same permission.
                await self._access.check(asked._replace(verb="create"))
            await self._admit_connection(http, info, user)
            return await self._kubelets.serve(http, info)
        if self._proxies.serves(info):
            await self._admit_connection(http, info, user)
            return await self._proxies.serve(http, info)
        kind = self._resources.kinds.by_resource(info.group, info.version, info.resource)
        if kind is None or not kind.verbs:
            if self._resources.kinds.has_built_in(info.group):
                raise not_found()
            return Answer.text("404 page not found\n", 404)
        if info.verb == "patch" and await self._resources.would_create(http, info, kind):
            await self._access.check(asked._replace(verb="create"))
        return await self._resources.serve(http, info, kind, user)

    async def _admit_connection(self, http: web.BaseRequest, info: RequestInfo, user: User) -> None:
        if (options := connect_options(info, http.query)) is not None:
            await self._resources.connect(info, user, options)

    async def _no_resource(self, http: web.BaseRequest, info: RequestInfo) -> Answer | Streamed:
        check_timeout(http.query)
        path = info.path.rstrip("/") or "/"
        if path == "/pylet/v1/secrets-encryption":
            return Answer.of(
                await self._secrets_encryption(http.query.get("action", "") if info.verb == "post" else "")
            )
        if path == "/statusz":
            from pylet.server.http import zpages

            return zpages.statusz(http.headers.get("Accept", ""), self._started, datetime.now(UTC))
        if path == "/flagz":
            from pylet.server.http import zpages

            return zpages.flagz(http.headers.get("Accept", ""), self._flags())
        make = self._plain.get(path)
        if make is not None:
            if path == "/version":
                _only_get(http)
            return make()
        root = path.strip("/").partition("/")[0]
        if root in ROOTS:
            return self._health.answer(path, http.query, http.query.getall("exclude", []))
        if root == "openapi":
            return await self._openapi.answer(http)
        # Lists of groups and of versions are the aggregator's, which never asks for the method; so are custom versions.
        is_ours = root == "api" or (path.count("/") == 3 and self._resources.kinds.has_built_in(path.split("/")[2]))
        found = self._discovery.document(path, http.headers.get("Accept", ""))
        if found is None:
            if is_ours:
                raise not_found()
            return Answer.text("404 page not found\n", 404)
        if is_ours:
            _only_get(http)
        body, type_, tag = found
        headers = (("ETag", tag), ("Vary", "Accept"))
        if http.headers.get("If-None-Match") == tag:
            return Answer(b"", 304, type_, headers)
        return Answer(body, type_=type_, headers=headers)

    def _metrics_text(self) -> Answer:
        self._metrics.watches = len(self._watches)
        return _exposition(self._metrics.text())

    def _openid_configuration(self) -> Answer:
        issuer = self._tokens.issuer
        return Answer.of(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/openid/v1/jwks",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }
        )

    def _paths(self) -> Answer:
        kinds = [kind for kind in self._resources.kinds if kind.verbs and kind.group]
        groups = {f"/apis/{kind.group}" for kind in kinds} | {f"/apis/{kind.api_version}" for kind in kinds}
        core = (
            "/api",
            "/api/v1",
            "/apis",
            "/apis/",
            "/openapi/v2",
            "/openapi/v3",
            "/openapi/v3/",
            "/flagz",
            "/statusz",
        )
        plain = (path for path in self._plain if path != "/")
        return Answer.of({"paths": sorted({*core, *plain, *groups, *self._health.paths()})})


def _exposition(text: str) -> Answer:
    return Answer(text.encode(), type_="text/plain; version=0.0.4; charset=utf-8")


def _only_get(http: web.BaseRequest) -> None:
    """Raises: MethodNotAllowed."""
    if http.method != "GET":
        raise MethodNotAllowed("the server does not allow this method on the requested resource", details={})


def _version() -> Answer:
    import platform

    return Answer.of(
        {
            "major": MAJOR,
            "minor": MINOR,
            "emulationMajor": MAJOR,
            "emulationMinor": MINOR,
            "minCompatibilityMajor": MAJOR,
            "minCompatibilityMinor": str(int(MINOR) - 1),
            "gitVersion": VERSION,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": platform.python_implementation().lower(),
            "platform": f"linux/{_GO_MACHINES.get(platform.machine(), platform.machine())}",
        }
    )
