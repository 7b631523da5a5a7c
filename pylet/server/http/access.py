"""The door: who sends a request, as whom he acts, and whether he may; the audit log hears of it.

Order as upstream's handler chain: authentication, audit, impersonation, and when there is a seat authorization.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pylet.aio.certificate import has_begun
from pylet.aio.prometheus import Histogram, counts, doubling
from pylet.api.errors import ApiError, Forbidden, Unauthorized
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.authenticate import Authenticator, Subject, certificate_user
from pylet.server.auth.authorize import Authorizer
from pylet.server.auth.impersonate import Impersonation
from pylet.server.auth.request_header import proxied_user
from pylet.server.http import protocols
from pylet.server.http.answer import Answer, Streamed
from pylet.server.http.request_info import RequestInfo
from pylet.server.registry import User
from pylet.server.spent import REQUEST_ID

if TYPE_CHECKING:
    from pylet.server.audit.auditor import Auditor

_NOBODY = User("")
_HOUR, _DAY = 3600, 86400
_LASTING = (0, _HOUR / 2, _HOUR, 2 * _HOUR, 6 * _HOUR, 12 * _HOUR, *(n * _DAY for n in (1, 2, 4, 7, 30, 90, 180, 360)))
_SECONDS = doubling(0.001, 15)
_NAMED = frozenset(("admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"))
_MAIL, _OTHERS = "email_id", "other"
"""How users are counted who are not named. Source: apiserver pkg/endpoints/filters/metrics.go, compressUsername."""
_BEARER, _HAS_BEGUN = "bearer", "has begun"
_end_of = lru_cache(256)(ssl.cert_time_to_seconds)


class Undecided(Exception):
    """Nobody allowed, and one who might have could not be asked; the message says why."""


class Access:
    """`front_proxy` is the subject of the CA whose certificates make their bearers say who asks."""

    def __init__(
        self,
        authenticator: Authenticator,
        authorizer: Authorizer,
        auditor: Auditor | None = None,
        front_proxy: Subject | None = None,
    ) -> None:
        self._front_proxy = front_proxy
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._impersonation = Impersonation(authorizer.ask)
        self._auditor = auditor
        self._expirations = Histogram(
            "apiserver_client_certificate_expiration_seconds", "How long clients' certificates last.", (), _LASTING
        )
        self._known = self._unknown = 0
        self._judging = Histogram("authorization_duration_seconds", "Judging requests.", ("result",), _SECONDS)
        self._looking = Histogram("authentication_duration_seconds", "Finding out who asks.", ("result",), _SECONDS)
        self._users = dict.fromkeys((*_NAMED, _MAIL, _OTHERS), 0)
        self._ids = map("{}{:012x}".format, itertools.repeat(str(uuid.uuid4())[:-12]), itertools.count(1))

    def metrics(self) -> Iterator[str]:
        """Refused certificates and tokens are errors, as upstream says: who shows nothing is known to be nobody."""
        yield from self._expirations.lines()
        attempts = [({"result": "success"}, self._known), ({"result": "error"}, self._unknown)]
        yield from counts("authentication_attempts", "Requests whose sender was looked for.", attempts)
        yield from self._looking.lines()
        users = [({"username": user}, number) for user, number in self._users.items() if number]
        yield from counts("authenticated_user_requests", "Requests by who sends them, most as others.", users)
        judged = [({"result": result}, sum(self._judging.counts(result))) for (result,) in self._judging.labelled()]
        yield from counts("authorization_attempts_total", "Requests that were judged.", judged)
        yield from self._judging.lines()
        yield from self._impersonation.metrics()
        yield from self._authenticator.metrics()
        told = self._auditor.metrics() if self._auditor is not None else (0, 0)
        for name, number in zip(("event", "error"), told, strict=True):
            yield from counts(f"apiserver_audit_{name}_total", f"Audit {name}s.", [({}, number)])

    async def enter(self, http: web.BaseRequest, info: RequestInfo, began: float) -> Attributes:
        """What is asked and by whom; `began` is when, as `perf_counter` has it.

        Raises: Unauthorized, BadRequest, Forbidden and Undecided of impersonation.
        """
        id_ = http.headers.get("Audit-ID", "")
        if not id_ or not id_.isascii():  # it goes back in a header
            id_ = next(self._ids)
        REQUEST_ID.set(id_)
        auditor = self._auditor
        if auditor is not None:
            auditor.expect()
        try:
            user = await self._user(http)
            self._known += 1
            self._looking.observe(perf_counter() - began, "success")
            name = user.name
            self._users[name if name in _NAMED else _MAIL if "@" in name else _OTHERS] += 1
        except Unauthorized:
            self._unknown += 1
            self._looking.observe(perf_counter() - began, "error")
            if auditor is not None:
                await auditor.refuse(http, attributes(_NOBODY, http, info), id_)
            raise
        asked = attributes(user, http, info)
        if auditor is not None:
            auditor.begin(http, asked, id_)
        headers = http.headers
        if "impersonate-" in " ".join(headers).lower():
            try:
                acting = await self._impersonation.begin(asked, headers.items())
            except ApiError as refused:
                refused.at_the_door = True
                raise
            if acting is not None:
                asked = asked._replace(user=acting.user)
                if auditor is not None:
                    auditor.impersonated(*acting)
        return asked

    async def let_in(self, asked: Attributes) -> None:
        """As `check`, of the request as a whole."""
        try:
            await self.check(asked)
        except Forbidden as refused:
            refused.at_the_door = True
            raise

    async def check(self, asked: Attributes) -> None:
        """Whether he may. Raises: Forbidden, Undecided."""
        began = perf_counter()
        decision = await self._authorizer.ask(asked)
        self._judging.observe(perf_counter() - began, _result(decision))
        if self._auditor is not None:
            self._auditor.authorized(decision)
        if decision.allowed:
            return
        if decision.error:
            raise Undecided(decision.error)
        raise asked.forbidden(decision.reason)

    async def leave(self, http: web.BaseRequest, answer: Answer | Streamed) -> None:
        """To be told of every answer."""
        if self._auditor is not None:
            whole = answer if isinstance(answer, Answer) else None
            type_, body = (whole.type, whole.body) if whole is not None else ("", b"")
            await self._auditor.end(http, answer.status, type_, body)

    async def _user(self, http: web.BaseRequest) -> User:
        transport = http.transport
        if transport is None:
            raise ConnectionResetError
        certificate: dict[str, Any] | None = transport.get_extra_info("peercert")
        if certificate and (known := self._shown(http, transport, certificate)) is not None:
            return known
        authorization = http.headers.get("Authorization")
        if authorization is None and protocols.HEADER in http.headers:
            authorization = protocols.authorization(http)
        return await self._authenticator.user(authorization, http.path, is_doubtful=bool(certificate))

    def _shown(self, http: web.BaseRequest, transport: asyncio.Transport, certificate: dict[str, Any]) -> User | None:
        """Whom the certificate stands for, if it stands for somebody."""
        try:
            if (late := self._authenticator.late_user(certificate)) is not None:
                return late
        except Unauthorized:
            return None
        if _HAS_BEGUN not in certificate:
            if not has_begun(transport.get_extra_info("ssl_object"), datetime.now(UTC)):
                return None
            certificate[_HAS_BEGUN] = True
        self._expirations.observe(_end_of(certificate["notAfter"]) - time.time())
        if self._front_proxy is not None and certificate.get("issuer") == self._front_proxy:
            return proxied_user(http.headers.items())  # the proxy is nobody himself
        return _bearer(transport, certificate)


def _bearer(transport: asyncio.Transport, certificate: dict[str, Any]) -> User | None:
    """Whose certificate it is: found out once a connection, and kept with what it knows of the certificate."""
    if _BEARER not in certificate:
        encoded = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        certificate[_BEARER] = certificate_user(certificate["subject"], encoded)
    user: User | None = certificate[_BEARER]
    return user


def _result(decision: Decision) -> str:
    if decision.allowed:
        return "allowed"
    return "error" if decision.error else "denied" if decision.denied else "no-opinion"


def attributes(user: User, http: web.BaseRequest, info: RequestInfo) -> Attributes:
    if not info.resource:
        return Attributes(user, "get" if info.verb == "head" else info.verb, path=info.path)
    fields = labels = ""
    if info.verb in ("list", "watch", "deletecollection") and http.query_string:
        fields, labels = http.query.get("fieldSelector", ""), http.query.get("labelSelector", "")
    return Attributes(
        user,
        info.verb,
        info.group,
        info.version,
        info.resource,
        info.subresource,
        info.namespace,
        info.name,
        fields=fields,
        labels=labels,
    )
