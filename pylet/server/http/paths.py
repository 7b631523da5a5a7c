"""What is asked for beside resources: health, discovery, documents, and what is said plainly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from pylet.api.object import Object
from pylet.server.http.allowed import not_found
from pylet.server.http.answer import Answer, Streamed
from pylet.server.http.discovery import Discovery
from pylet.server.http.extensions import Extensions
from pylet.server.http.health import ROOTS as HEALTH
from pylet.server.http.health import Health
from pylet.server.http.openapi import OpenApi
from pylet.server.http.options import timeout
from pylet.server.http.plain import UNLISTED, Say, only_get
from pylet.server.registry.served import Served

_ROOTS = ("/", "/index.html")
_WITH_SLASH = ("/.well-known/openid-configuration", "/openid/v1/jwks", "/version")
_DOCUMENTS = ("/api", "/api/v1", "/apis", "/apis/", "/openapi/v2", "/openapi/v3", "/openapi/v3/")


class Paths:
    def __init__(
        self,
        kinds: Served,
        discovery: Discovery,
        openapi: OpenApi,
        extensions: Extensions,
        health: Health,
        plain: Mapping[str, Say],
        secrets_encryption: Callable[[str], Awaitable[Object]],
    ) -> None:
        self._kinds = kinds
        self._discovery = discovery
        self._openapi = openapi
        self._extensions = extensions
        self._health = health
        self._plain = plain
        self._secrets_encryption = secrets_encryption

    async def serve(self, http: web.BaseRequest, path: str) -> Answer | Streamed:
        """Raises: ApiError."""
        timeout(http.query)
        if path in _ROOTS:
            return self._listed()
        if path == "/pylet/v1/secrets-encryption":
            return Answer.of(
                await self._secrets_encryption(http.query.get("action", "") if http.method == "POST" else "")
            )
        if (say := self._plain.get(path)) is not None:
            return say(http)
        root = path.strip("/").partition("/")[0]
        if root in HEALTH:
            return self._health.answer(path, http.query, http.query.getall("exclude", []))
        path = path.rstrip("/")
        if path in _WITH_SLASH:
            return self._plain[path](http)
        if root == "openapi":
            return await self._openapi.answer(http)
        return self._discovered(http, path, root)

    def _discovered(self, http: web.BaseRequest, path: str, root: str) -> Answer:
        # Lists of groups and of versions are the aggregator's, which never asks for the method; so are custom versions.
        is_ours = root == "api" or (path.count("/") == 3 and self._kinds.has_built_in(path.split("/")[2]))
        found = self._discovery.document(path, http.headers.get("Accept", ""))
        if found is None:
            if is_ours:
                raise not_found()
            return Answer.text("404 page not found\n", 404)
        if is_ours:
            only_get(http)
        body, type_, tag = found
        headers = (("ETag", tag), ("Vary", "Accept"))
        if http.headers.get("If-None-Match") == tag:
            return Answer(b"", 304, type_, headers)
        return Answer(body, type_=type_, headers=headers)

    def _listed(self) -> Answer:
        served = {(kind.group, kind.version) for kind in self._kinds if kind.verbs and kind.group}
        served |= {(group, version) for group, version, _ in self._extensions}  # whether they answer or not
        groups = {f"/apis/{group}" for group, _ in served} | {f"/apis/{group}/{version}" for group, version in served}
        plain = {path for path in self._plain if not path.startswith(UNLISTED)}
        return Answer.indented({"paths": sorted({*_DOCUMENTS, *plain, *groups, *self._health.paths()})})
