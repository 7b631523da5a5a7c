"""Which credentials a registry is shown for an image: what docker configurations say about it. Pure.

Keys of a configuration are hosts, with wildcards in their labels, and paths that the image's must begin with; what is
more specific comes first. Source: upstream `pkg/credentialprovider/keyring.go`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import orjson

from pylet.api.object import Object
from pylet.cri.messages import AuthConfig

DockerConfig: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Of a configuration file the part below `auths`: by registry."""

_HUB = "index.docker.io"


@dataclass(frozen=True, slots=True)
class Source:
    """The Secret or ServiceAccount a credential is of."""

    kind: str
    uid: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Credential:
    """`source` is None where every pod of the node may use it."""

    auth: AuthConfig
    source: Source | None = None

    @property
    def hash(self) -> str:
        return hashlib.sha256(orjson.dumps(asdict(self.auth))).hexdigest()


def lookup(configs: Iterable[tuple[DockerConfig, Source | None]], image: str) -> list[Credential]:
    """What the configurations have for the image, in the order to try it."""
    by_key: dict[str, list[Credential]] = {}
    for config, source in configs:
        for location, entry in config.items():
            by_key.setdefault(_key(location), []).append(Credential(_auth(entry), source))
    name = repository(image)
    found = [each for key in sorted(by_key, reverse=True) if matches(key, name) for each in by_key[key]]
    return found or (by_key.get(_HUB, []) if name.startswith("docker.io/") else [])


def of_secret(secret: Object) -> tuple[DockerConfig, Source]:
    """What a pull secret holds. Raises: BadDockerConfig."""
    meta, data = secret["metadata"], secret.get("data") or {}
    modern = data.get(".dockerconfigjson")
    config = parse(base64.b64decode(modern or data.get(".dockercfg") or "e30="), is_legacy=not modern)
    return config, Source("Secret", meta.get("uid", ""), meta.get("namespace", ""), meta["name"])


class BadDockerConfig(Exception):
    """It cannot be read; what it holds is not told."""


def parse(text: bytes, *, is_legacy: bool = False) -> DockerConfig:
    """A docker configuration file; the legacy one has no `auths` around it. Raises: BadDockerConfig."""
    try:
        found = orjson.loads(text)
        auths: DockerConfig = found if is_legacy else found.get("auths") or {}
        for entry in auths.values():
            _auth(entry)
    except (ValueError, AttributeError) as bad:
        raise BadDockerConfig("is not a docker configuration") from bad
    return auths


def matches(pattern: str, image: str) -> bool:
    """Whether the image, a name without tag, is at the registry and path that `pattern` says."""
    host, _, path = pattern.partition("/")
    its_host, _, its_path = image.partition("/")
    host, _, port = host.partition(":")
    its_host, _, its_port = its_host.partition(":")
    labels, its_labels = host.split("."), its_host.split(".")
    return (
        port == its_port
        and its_path.startswith(path)
        and len(labels) == len(its_labels)
        and all(fnmatchcase(its, label) for its, label in zip(its_labels, labels, strict=True))
    )


def repository(image: str) -> str:
    """The image's name in full, without tag and digest: `docker.io/library/busybox` for `busybox:1`."""
    name = without_tag(image)
    registry, slash, rest = name.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, rest = "docker.io", name
    elif registry == _HUB:
        registry = "docker.io"
    return f"{registry}/library/{rest}" if registry == "docker.io" and "/" not in rest else f"{registry}/{rest}"


def without_tag(image: str) -> str:
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def _key(location: str) -> str:
    host, _, path = location.removeprefix("https://").removeprefix("http://").partition("/")
    if path.startswith(("v1/", "v2/")):
        path = path[3:]
    return f"{host}/{path}" if path else host


def _auth(entry: Mapping[str, Any]) -> AuthConfig:
    user, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth") and not user:
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return AuthConfig(username=user, password=password, identity_token=entry.get("identitytoken", ""))
