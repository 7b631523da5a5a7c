"""Programs that know credentials for images: run when there is something to pull, believed for as long as they say.

A request goes to the program's standard input, its answer comes from standard output.
Source: upstream `pkg/credentialprovider/plugin/plugin.go`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import orjson

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.config_values import BadConfig, span
from pylet.agent.kubelet.credentials import Token
from pylet.agent.kubelet.keyring import DockerConfig, Source, matches
from pylet.agent.kubelet.provider_config import ProviderConfig, TokenUse, read
from pylet.aio.clock import Clock
from pylet.api.errors import ApiError
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object
from pylet.client.interface import Client

log = logging.getLogger(__name__)

_SECONDS = 60.0
_TOKEN_SECONDS = 3600
_ANSWER = {"kind", "apiVersion", "cacheKeyType", "cacheDuration", "auth"}

_For: TypeAlias = tuple[Any, ...]


class ProviderFailed(Exception):
    """It gave no answer that can be used."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a provider is asked for: nobody, or a ServiceAccount with what the provider wants to know of it."""

    source: Source | None = None
    token: str = ""
    annotations: tuple[tuple[str, str], ...] = ()

    def key(self, *, by_token: bool) -> _For:
        token = hashlib.sha256(self.token.encode()).hexdigest() if by_token else ""
        return self.source, self.annotations, token


@dataclass(frozen=True, slots=True)
class Answer:
    auth: DockerConfig
    scope: str
    """What else it holds for: the image, its registry, or every image ("")."""
    cached_for: timedelta


class Program(Protocol):
    async def __call__(self, image: str, identity: Identity) -> Answer:
        """Raises: ProviderFailed."""
        ...


@dataclass(slots=True)
class ExecProvider:
    config: ProviderConfig
    client: Client
    token: Token
    clock: Clock
    program: Program
    _known: dict[_For, tuple[datetime, DockerConfig]] = field(default_factory=dict)
    _running: dict[_For, asyncio.Task[Answer]] = field(default_factory=dict)

    async def provide(self, image: str, pod: Object) -> tuple[DockerConfig, Source | None]:
        if not any(matches(pattern, image) for pattern in self.config.match_images):
            return {}, None
        try:
            identity = await self._identity(pod)
            if identity is None:
                return {}, None
            return await self._found(image, identity), identity.source
        except (ProviderFailed, ApiError) as failed:
            log.warning("credential provider %s for %s: %s", self.config.name, image, failed)
            return {}, None

    async def _identity(self, pod: Object) -> Identity | None:
        """None where the provider is not to be asked."""
        use, account = self.config.token, pod["spec"].get("serviceAccountName", "")
        if use is None:
            return Identity()
        if not account:
            return None if use.is_required else Identity()
        namespace = pod["metadata"]["namespace"]
        found = await self.client.get(SERVICE_ACCOUNT, Key(namespace, account))
        has = found["metadata"].get("annotations") or {}
        if any(name not in has for name in use.required_annotations):
            return None
        shown = tuple((n, has[n]) for n in (*use.required_annotations, *use.optional_annotations) if n in has)
        status, _ = await self.token(pod, use.audience, _TOKEN_SECONDS)
        source = Source("ServiceAccount", found["metadata"]["uid"], namespace, account)
        return Identity(source, status["token"], shown)

    async def _found(self, image: str, identity: Identity) -> DockerConfig:
        whose = identity.key(by_token=self.config.token is not None and self.config.token.by_token)
        now = self.clock.now()
        for scope in (image, image.partition("/")[0], ""):
            until, config = self._known.get((scope, *whose), (now, {}))
            if until > now:
                return config
        answer = await self._ask_once(image, identity)
        _refuse_echo(answer, identity, self.config.token)
        if answer.cached_for:
            self._known = {key: value for key, value in self._known.items() if value[0] > now}
            self._known[answer.scope, *whose] = now + answer.cached_for, answer.auth
        return answer.auth

    async def _ask_once(self, image: str, identity: Identity) -> Answer:
        """Who asks the same at the same time shares the answer."""
        key = (image, *identity.key(by_token=True))
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self.program(image, identity))
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)


def _refuse_echo(answer: Answer, identity: Identity, use: TokenUse | None) -> None:
    """A token that is itself the password holds for one pod: it must not be kept for the account's others."""
    if use is None or use.by_token or not identity.token:
        return
    if any(entry.get("password") == identity.token for entry in answer.auth.values()):
        raise ProviderFailed(
            "credential provider plugin returned the service account token as the password "
            "which is not allowed when service account cache type is not set to 'Token'"
        )


@dataclass(frozen=True, slots=True)
class ExecProgram:
    binary: Path
    config: ProviderConfig

    async def __call__(self, image: str, identity: Identity) -> Answer:
        request: Object = {"kind": "CredentialProviderRequest", "apiVersion": self.config.api_version, "image": image}
        if identity.source is not None:
            request |= {"serviceAccountToken": identity.token, "serviceAccountAnnotations": dict(identity.annotations)}
        begin = time.monotonic()
        try:
            said = await self._run(orjson.dumps(request), image)
        except ProviderFailed:
            counters.PROVIDER_ERRORS.add(self.config.name)
            raise
        finally:
            counters.PROVIDERS.observe(time.monotonic() - begin, self.config.name)
        return decode(said, image, self.config)

    async def _run(self, request: bytes, image: str) -> bytes:
        words = f"error execing credential provider plugin {self.config.name} for image {image}"
        env = {**os.environ, **dict(self.config.env)}
        try:
            process = await asyncio.create_subprocess_exec(
                self.binary, *self.config.args, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env
            )
        except OSError as failed:
            raise ProviderFailed(f"{words}: {failed}") from failed
        try:
            async with asyncio.timeout(_SECONDS):
                out, err = await process.communicate(request)
        except TimeoutError as late:
            raise ProviderFailed(f"{words}: context deadline exceeded") from late
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise ProviderFailed(f"{words}: exit status {process.returncode}: {err.decode(errors='replace').strip()}")
        return out


def decode(answer: bytes, image: str, config: ProviderConfig) -> Answer:
    """Raises: ProviderFailed; what is in the answer is not told."""
    try:
        found = orjson.loads(answer)
        version = found.get("apiVersion", "")
    except (ValueError, AttributeError) as bad:
        raise ProviderFailed("error reading GVK from response") from bad
    if version != config.api_version:
        words = "apiVersion from credential plugin response did not match expected apiVersion"
        raise ProviderFailed(f"{words}:{config.api_version}, actual apiVersion:{version}")
    try:
        if found.get("kind") != "CredentialProviderResponse" or not _ANSWER.issuperset(found):
            raise ValueError
        auth = {
            pattern: {"username": entry.get("username", ""), "password": entry.get("password", "")}
            for pattern, entry in (found.get("auth") or {}).items()
        }
        duration = found.get("cacheDuration")
        cached_for = config.cached_for if duration is None else span(duration)
    except (ValueError, AttributeError) as bad:
        raise ProviderFailed("error decoding credential provider plugin response from stdout") from bad
    scopes = {"Image": image, "Registry": image.partition("/")[0], "Global": ""}
    if (kind := found.get("cacheKeyType", "")) not in scopes:
        raise ProviderFailed(f"credential provider plugin did not return a valid cacheKeyType: {kind}")
    return Answer(auth, scopes[kind], cached_for)


def load(config: Path, binaries: Path, client: Client, token: Token, clock: Clock) -> list[ExecProvider]:
    """Raises: BadConfig, OSError."""
    if not binaries.is_dir():
        raise BadConfig(f"plugin binary directory {binaries} did not exist")
    found = []
    for provider in read(config):
        binary = binaries / provider.name
        if shutil.which(binary) is None:
            raise BadConfig(f"plugin binary executable {binary} did not exist")
        found.append(ExecProvider(provider, client, token, clock, ExecProgram(binary, provider)))
    return found
