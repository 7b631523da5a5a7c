"""What a pod may pull an image with: its pull secrets, then what the node has, then what providers say."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pylet.agent.kubelet.keyring import (
    BadDockerConfig,
    Credential,
    DockerConfig,
    Source,
    lookup,
    of_secret,
    parse,
    repository,
)
from pylet.api.object import Object

Token = Callable[[Object, str, int], Awaitable[tuple[Object, datetime]]]
"""(pod, audience, seconds) → the status of a TokenRequest. Raises: ApiError."""

log = logging.getLogger(__name__)


class Provider(Protocol):
    async def provide(self, image: str, pod: Object) -> tuple[DockerConfig, Source | None]:
        """For the image's name without tag; nothing where the provider knows nothing, or fails."""
        ...


class Keys:
    """`root` is the kubelet's directory: a docker `config.json` may be there or in root's home, for all pods."""

    def __init__(self, root: Path, providers: Sequence[Provider] = ()) -> None:
        self._files = [root / "config.json", *(home / ".docker" / "config.json" for home in _homes())]
        self._providers = providers

    async def find(self, pod: Object, secrets: Iterable[Object], image: str) -> list[Credential]:
        provided = [await provider.provide(repository(image), pod) for provider in self._providers]
        return [*lookup(_held(secrets), image), *lookup(self._own(), image), *lookup(provided, image)]

    def _own(self) -> list[tuple[DockerConfig, None]]:
        """Of the first file that there is."""
        for path in self._files:
            try:
                return [(parse(path.read_bytes()), None)]
            except OSError:
                continue
            except BadDockerConfig as bad:
                log.warning("%s %s", path, bad)
        return []


def _held(secrets: Iterable[Object]) -> list[tuple[DockerConfig, Source]]:
    found = []
    for secret in secrets:
        try:
            found.append(of_secret(secret))
        except BadDockerConfig as bad:
            log.warning("pull secret %s %s", secret["metadata"]["name"], bad)
    return found


def _homes() -> list[Path]:
    return [Path(home) for home in (os.environ.get("HOME"), "/") if home]
