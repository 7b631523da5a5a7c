"""Who may use this kubelet: proved by certificate or token, decided by the API server, remembered for a while.

Source: upstream `pkg/kubelet/server/auth.go`; how long an answer is kept is upstream's webhook default.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from aiohttp import web

from pylet.aio.clock import Clock
from pylet.api.errors import ApiError
from pylet.api.kinds.subjectaccessreview import KIND as SUBJECT_ACCESS_REVIEW
from pylet.api.kinds.tokenreview import KIND as TOKEN_REVIEW
from pylet.api.object import Object
from pylet.client.interface import Client

_ALLOWED_SECONDS, _DENIED_SECONDS = 300.0, 30.0
_REMEMBERED = 256
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Denied(Exception):
    """Not proved (401) or not allowed (403)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Access:
    def __init__(self, client: Client, clock: Clock, node_name: str) -> None:
        self._client = client
        self._clock = clock
        self._node_name = node_name
        self._decided: OrderedDict[Any, tuple[float, bool]] = OrderedDict()

    async def check(self, request: web.BaseRequest, *subresources: str) -> None:
        """One of `subresources` of this node must be allowed. Raises: Denied."""
        user = await self._user(request)
        verb = _VERBS.get(request.method, request.method.lower())
        for subresource in subresources:
            if await self._is_allowed(user, verb, subresource):
                return
        words = f"Forbidden (user={user['username']}, verb={verb}, resource=nodes, "
        raise Denied(403, f"{words}subresource(s)=[{' '.join(subresources)}])")

    async def _is_allowed(self, user: Object, verb: str, subresource: str) -> bool:
        question = (user["username"], tuple(user.get("groups") or ()), verb, subresource)
        now = self._clock.monotonic()
        until, allowed = self._decided.get(question, (0.0, False))
        if until <= now:
            allowed = await self._ask(user, verb, subresource)
            self._decided[question] = now + (_ALLOWED_SECONDS if allowed else _DENIED_SECONDS), allowed
            if len(self._decided) > _REMEMBERED:
                self._decided.popitem(last=False)
        return allowed

    async def _user(self, request: web.BaseRequest) -> Object:
        certificate = _peer_certificate(request)
        if certificate is not None:
            return certificate
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Denied(401, "Unauthorized")
        return await self._token_user(token)

    async def _token_user(self, token: str) -> Object:
        review = {"apiVersion": TOKEN_REVIEW.api_version, "kind": TOKEN_REVIEW.name, "spec": {"token": token}}
        try:
            answer = await self._client.create(TOKEN_REVIEW, {**review, "metadata": {}})
        except ApiError as failed:
            raise Denied(401, f"cannot review the token: {failed.message}") from failed
        if not answer["status"].get("authenticated"):
            raise Denied(401, "Unauthorized")
        user: Object = answer["status"]["user"]
        return user

    async def _ask(self, user: Object, verb: str, subresource: str) -> bool:
        review: Object = {
            "apiVersion": SUBJECT_ACCESS_REVIEW.api_version,
            "kind": SUBJECT_ACCESS_REVIEW.name,
            "metadata": {},
            "spec": {
                "user": user["username"],
                "groups": user.get("groups") or [],
                "resourceAttributes": {
                    "verb": verb,
                    "version": "v1",
                    "resource": "nodes",
                    "subresource": subresource,
                    "name": self._node_name,
                },
            },
        }
        try:
            answer = await self._client.create(SUBJECT_ACCESS_REVIEW, review)
        except ApiError as failed:
            raise Denied(500, f"cannot ask the API server for permission: {failed.message}") from failed
        return bool(answer["status"].get("allowed"))


def _peer_certificate(request: web.BaseRequest) -> Object | None:
    """The user a client certificate stands for: CN and O, verified in the TLS handshake."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
    certificate: Any = (tls.getpeercert() if tls is not None else None) or {}
    names = [pair for group in certificate.get("subject", ()) for pair in group]
    common = next((value for name, value in names if name == "commonName"), None)
    if common is None:
        return None
    return {"username": common, "groups": [value for name, value in names if name == "organizationName"]}
