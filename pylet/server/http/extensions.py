"""Groups and versions that other servers serve (APIService): whether they answer, what they have, and the way there.

An extension server believes the API server about who asks: it proves itself with the front proxy's certificate. Nothing
here runs or waits while no APIService names a service.
Source: kube-aggregator pkg/apiserver/handler_proxy.go, pkg/controllers/status/remote.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote

import orjson
from aiohttp import web

from pylet.aio.certificate import Pair, trusting, unverified
from pylet.aio.clock import Clock
from pylet.aio.prometheus import Counter, gauges
from pylet.api import timestamps
from pylet.api.errors import ApiError, NotFound, ServiceUnavailable
from pylet.api.kind import Kind
from pylet.api.kinds.apiservice import KIND as API_SERVICE
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, condition_of, conditions_of, is_true
from pylet.client.interface import Client
from pylet.client.view import Entry, Table
from pylet.server.http.answer import JSON, Answer, Streamed
from pylet.server.http.forwarding import Forwarder, Target
from pylet.server.http.own_metrics import OwnMetrics
from pylet.server.registry import User
from pylet.server.services import Services, Unresolved

log = logging.getLogger(__name__)

_CHECK_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
Swaggers: TypeAlias = Sequence[tuple[str, bytes]]
"""Documents by the root of the paths in them that count, as in `apis/GROUP/VERSION`."""

_ADMIN = (("X-Remote-User", "system:kube-aggregator"), ("X-Remote-Group", "system:masters"))


@dataclass(slots=True)
class Extension:
    """One group and version; `resources` are as aggregated discovery shows them, kept while nobody answers."""

    spec: Object
    is_available: bool = False
    resources: list[Object] = field(default_factory=list)
    look_again: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def service(self) -> Key:
        return Key(self.spec["service"]["namespace"], self.spec["service"]["name"])

    @property
    def priorities(self) -> tuple[int, int]:
        return self.spec["groupPriorityMinimum"], self.spec["versionPriority"]


class Extensions:
    """`identity` is the front proxy's pair; `generation` counts changes of what is served. `run` until cancelled.

    `own` are groups and versions this server serves itself as long as no APIService names a service for them.
    """

    def __init__(
        self,
        tables: Callable[[Kind], Table],
        client: Client,
        forwarder: Forwarder,
        identity: Pair,
        clock: Clock,
        own: Mapping[tuple[str, str], OwnMetrics],
    ) -> None:
        self.generation = 0
        self._tables = tables
        self._client = client
        self._forwarder = forwarder
        self._identity = identity
        self._clock = clock
        self._own = own
        self._services = Services(tables)
        self._known: dict[tuple[str, str], Extension] = {}
        self._checks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._failures = Counter(
            "aggregator_unavailable_apiservice_total", "How often servers of APIServices went away.", ("name", "reason")
        )

    def __iter__(self) -> Iterator[tuple[str, str, Extension | OwnMetrics]]:
        known: dict[tuple[str, str], Extension | OwnMetrics] = {**self._own, **self._known}
        for (group, version), extension in known.items():
            yield group, version, extension

    def own_kinds(self) -> Iterator[Kind]:
        """Of what this server serves itself, and the registry does not."""
        for which, own in self._own.items():
            if which not in self._known:
                yield from own.kinds()

    # ---- serving

    def metrics(self) -> Iterator[str]:
        down = [
            ({"name": entry.key.name}, int(not is_true(entry.object, "Available")))
            for entry in self._tables(API_SERVICE).entries.values()
        ]
        yield from gauges("aggregator_unavailable_apiservice", "APIServices whose server does not answer.", down)
        yield from self._failures.lines()

    def find(self, path: str) -> Extension | OwnMetrics | None:
        """Who serves a path below `/apis/GROUP/VERSION`, if it is not for the registry."""
        if not path.startswith("/apis/"):
            return None
        _, _, group, version = [*path.split("/", 4)[:4], "", ""][:4]
        return self._known.get((group, version)) or self._own.get((group, version))

    async def serve(self, http: web.BaseRequest, extension: Extension | OwnMetrics, user: User) -> Answer | Streamed:
        """Raises: ApiError."""
        if isinstance(extension, OwnMetrics):
            return await extension.serve(http)
        if not extension.is_available:
            return Answer.text("service unavailable\n", 503)
        target = self._target(extension, http.rel_url.raw_path, tuple(_told(user)))
        return await self._forwarder.forward(http, target)

    async def read(self, path: str) -> Object | None:
        """What this server itself is answered to a GET; None where nobody serves the path. Raises: ApiError."""
        extension = self.find(path.partition("?")[0])
        if extension is None:
            return None
        if isinstance(extension, OwnMetrics):
            return await extension.read(path)
        if not extension.is_available:
            raise ServiceUnavailable("the server is currently unable to handle the request")
        status, body = await self._forwarder.fetch(self._target(extension, path, _ADMIN), seconds=_ANSWER_SECONDS)
        try:
            found: Object = orjson.loads(body)
        except ValueError as bad:
            raise ServiceUnavailable(f"no JSON from {path}: {status}") from bad
        if status != 200:
            raise ApiError(str(found.get("message") or f"{path}: {status}"))
        return found

    async def openapi(self) -> dict[str, str]:
        """Where the OpenAPI documents (version 3) are of those that answer and have one, by their names."""
        asked = {
            f"apis/{group}/{version}": known for (group, version), known in self._known.items() if known.is_available
        }
        found = await asyncio.gather(*(self._document(name, extension) for name, extension in asked.items()))
        return {name: url for name, url in zip(asked, found, strict=True) if url}

    async def swaggers(self) -> Swaggers:
        """The OpenAPI documents (version 2) of those that answer and have one, the more important first."""
        asked = sorted(
            (-known.priorities[0], -known.priorities[1], f"apis/{group}/{version}", known)
            for (group, version), known in self._known.items()
            if known.is_available
        )
        found = await asyncio.gather(*(self._swagger(extension) for *_, extension in asked))
        return [(name, body) for (_, _, name, _), body in zip(asked, found, strict=True) if body]

    async def _swagger(self, extension: Extension) -> bytes:
        try:
            target = self._target(extension, "/openapi/v2", (*_ADMIN, ("Accept", JSON)))
            status, body = await self._forwarder.fetch(target, seconds=_ANSWER_SECONDS)
        except ApiError:
            return b""
        return body if status == 200 else b""

    async def serve_openapi(self, http: web.BaseRequest, name: str) -> Answer | Streamed | None:
        """The document of that name, if it is an extension's. Raises: ApiError."""
        extension = self.find(f"/{name}")
        if not isinstance(extension, Extension) or not extension.is_available:
            return None
        return await self._forwarder.forward(http, self._target(extension, http.rel_url.raw_path, _ADMIN))

    async def _document(self, name: str, extension: Extension) -> str:
        try:
            status, body = await self._forwarder.fetch(
                self._target(extension, "/openapi/v3", _ADMIN), seconds=_ANSWER_SECONDS
            )
            return str(orjson.loads(body)["paths"][name]["serverRelativeURL"]) if status == 200 else ""
        except (ApiError, ValueError, KeyError, TypeError):
            return ""

    def _target(self, extension: Extension, path: str, headers: tuple[tuple[str, str], ...]) -> Target:
        spec, service = extension.spec, extension.service
        try:
            address = self._services.address(service, spec["service"].get("port", 443))
        except Unresolved as nobody:
            raise ServiceUnavailable(str(nobody)) from nobody
        tls = _context(self._identity, spec.get("caBundle") or "", is_careless=bool(spec.get("insecureSkipTLSVerify")))
        return Target(f"https://{address}{path}", tls, f"{service.name}.{service.namespace}.svc", headers)

    # ---- looking after them

    async def run(self) -> None:
        table = self._tables(API_SERVICE)
        async with asyncio.TaskGroup() as group:

            def changed(before: Entry | None, after: Entry | None) -> None:
                self._changed(group, before, after)

            silence = [
                table.listen(changed),
                self._tables(SERVICE).listen(lambda before, after: self._wake(before, after)),
                self._tables(ENDPOINT_SLICE).listen(lambda before, after: self._wake(before, after)),
            ]
            try:
                for entry in list(table.entries.values()):
                    changed(None, entry)
                await asyncio.Event().wait()
            finally:
                for stop in silence:
                    stop()

    def _changed(self, group: asyncio.TaskGroup, before: Entry | None, after: Entry | None) -> None:
        spec = after.object["spec"] if after is not None else None
        entry = after or before
        assert entry is not None
        version, _, api = entry.key.name.partition(".")
        known = self._known.get((api, version))
        if spec is None or not spec.get("service"):
            if known is not None:
                del self._known[api, version]
                self._checks.pop((api, version)).cancel()
                self.generation += 1
        elif known is None:
            self._known[api, version] = extension = Extension(spec)
            self._checks[api, version] = group.create_task(self._keep_checking(entry.key, extension))
            self.generation += 1
        elif known.spec != spec:
            known.spec = spec
            self.generation += 1
            known.look_again.set()

    def _wake(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if not self._known or entry is None:
            return
        name = entry.labels.get("kubernetes.io/service-name", entry.key.name)
        for extension in self._known.values():
            if extension.service == Key(entry.key.namespace, name):
                extension.look_again.set()

    async def _keep_checking(self, key: Key, extension: Extension) -> None:
        while True:
            extension.look_again.clear()
            try:
                await self._check(key, extension)
            except ApiError as failed:
                log.warning("APIService %s: %s", key.name, failed.message)
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    await extension.look_again.wait()
            except TimeoutError:
                continue

    async def _check(self, key: Key, extension: Extension) -> None:
        reason, message, found = await self._look(extension)
        is_available = reason == "Passed"
        if found is not None and found != extension.resources:
            extension.resources = found
            self.generation += 1
        if is_available != extension.is_available:
            if not is_available:
                self._failures.add(key.name, reason)
            extension.is_available = is_available
            self.generation += 1
        entry = self._tables(API_SERVICE).entries.get(key)
        if entry is None:
            return
        current = condition_of(entry.object, "Available")
        condition: Object = {
            "type": "Available",
            "status": "True" if is_available else "False",
            "reason": reason,
            "message": message,
        }
        if current is not None and all(current.get(name) == value for name, value in condition.items()):
            return
        stamp = timestamps.format_time(self._clock.now())
        same = current is not None and current["status"] == condition["status"]
        condition["lastTransitionTime"] = current["lastTransitionTime"] if same and current else stamp
        others = [other for other in conditions_of(entry.object) if other["type"] != "Available"]
        try:
            await self._client.patch(
                API_SERVICE, key, {"status": {"conditions": [*others, condition]}}, subresource="status"
            )
        except NotFound:
            return

    async def _look(self, extension: Extension) -> tuple[str, str, list[Object] | None]:
        """Reason, message and, of a server that answers, its resources."""
        service, spec = extension.service, extension.spec
        port = spec["service"].get("port", 443)
        entry, named_so = self._tables(SERVICE).entries.get(service), f'service/{service.name} in "{service.namespace}"'
        if entry is None:
            return "ServiceNotFound", f"{named_so} is not present", None
        if entry.object["spec"].get("type") != "ExternalName":
            named = [one.get("name", "") for one in entry.object["spec"].get("ports") or () if one["port"] == port]
            if not named:
                return "ServicePortError", f"{named_so} is not listening on port {port}", None
            if not any(self._services.slices(service)):
                return "EndpointsNotFound", f"cannot find endpointslices for {named_so}", None
            if not any(self._services.endpoints(service, named[0])):
                words = f'endpointslices for {named_so} have no addresses with port name "{named[0]}"'
                return "MissingEndpoints", words, None
        asked = f"/apis/{spec['group']}/{spec['version']}"
        try:
            target = self._target(extension, asked, _ADMIN)
            asked = target.url
            status, body = await self._forwarder.fetch(target, seconds=_ANSWER_SECONDS)
            if not 200 <= status < 300:
                raise ServiceUnavailable(f"bad status from {asked}: {status}")
        except ApiError as failed:
            return "FailedDiscoveryCheck", f"failing or missing response from {asked}: {failed.message}", None
        try:
            found = _resources(orjson.loads(body), spec)
        except (ValueError, KeyError, TypeError, AttributeError):
            found = None  # it answers: upstream does not ask for more
        return "Passed", "all checks passed", found


def _resources(document: Object, spec: Object) -> list[Object]:
    """An APIResourceList as aggregated discovery shows it."""
    found: dict[str, Object] = {}
    for one in document["resources"]:
        kind = {
            "group": one.get("group") or spec["group"],
            "version": one.get("version") or spec["version"],
            "kind": one["kind"],
        }
        name, _, sub = one["name"].partition("/")
        if sub:
            if name in found:
                entry = {"subresource": sub, "responseKind": kind, "verbs": one["verbs"]}
                found[name].setdefault("subresources", []).append(entry)
            continue
        found[name] = {
            "resource": name,
            "responseKind": kind,
            "scope": "Namespaced" if one.get("namespaced") else "Cluster",
            "singularResource": one.get("singularName") or one["kind"].lower(),
            "verbs": one["verbs"],
            **{field: one[field] for field in ("shortNames", "categories") if one.get(field)},
        }
    return list(found.values())


def _told(user: User) -> Iterator[tuple[str, str]]:
    """Who asks, in the headers extension servers look at."""
    yield "X-Remote-User", user.name
    if user.uid:
        yield "X-Remote-Uid", user.uid
    for group in user.groups:
        yield "X-Remote-Group", group
    for name, values in user.extra.items():
        for value in values:
            yield f"X-Remote-Extra-{quote(name.lower(), safe='')}", value


def forget_identity() -> None:
    """There is a newer certificate to prove oneself with."""
    _context.cache_clear()


@lru_cache(32)
def _context(identity: Pair, bundle: str, *, is_careless: bool) -> ssl.SSLContext:
    context = unverified() if is_careless else trusting(base64.b64decode(bundle).decode())
    identity.load_into(context)
    return context
