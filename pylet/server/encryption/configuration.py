"""What is encrypted with what: an EncryptionConfiguration, read and checked, as rules over the store's keys.

The first list that names a resource decides; its first provider seals, all of its providers open.
Source: apiserver pkg/apis/apiserver/{v1,validation}, pkg/server/options/encryptionconfig.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pylet.api.object import Object
from pylet.server.encryption.ciphers import CIPHERS, KEY_BYTES, Cipher, Unreadable

API_VERSION = "apiserver.config.k8s.io/v1"
KIND = "EncryptionConfiguration"
_SEALED = b"k8s:enc:"


class BadConfiguration(ValueError):
    """What is wrong and where, as one line."""


class Opened(NamedTuple):
    """A value, and whether a write would seal it differently now."""

    value: bytes
    is_stale: bool


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a provider; `mark` begins every value it seals."""

    mark: bytes
    cipher: Cipher


@dataclass(frozen=True, slots=True)
class Keys:
    """What seals and opens the values of some resources, in order; None stands for plain text."""

    order: tuple[Key | None, ...]

    def seal(self, value: bytes, place: str) -> bytes:
        first = self.order[0]
        return value if first is None else first.mark + first.cipher.seal(value, place.encode())

    def open(self, kept: bytes, place: str) -> Opened:
        """Raises: Unreadable."""
        for position, key in enumerate(self.order):
            if key is None:
                if not kept.startswith(_SEALED):
                    return Opened(kept, is_stale=position > 0)
            elif kept.startswith(key.mark):
                return Opened(key.cipher.open(kept[len(key.mark) :], place.encode()), is_stale=position > 0)
        raise Unreadable(f"no configured provider opens {place}")


class Rules:
    """`lists` are patterns with their keys, as configured: `secrets`, `deployments.apps`, `*.apps`, `*.`, `*.*`."""

    def __init__(self, lists: Sequence[tuple[Sequence[str], Keys]]) -> None:
        self._lists = tuple(lists)
        self._found: dict[str, Keys | None] = {}

    def keys_of(self, place: str) -> Keys | None:
        """What concerns the value at a key of the store; None where it is kept as it is."""
        _, _, group, plural, _ = place.split("/", 4)
        group = "" if group == "core" else group
        resource = f"{plural}.{group}"
        if resource not in self._found:
            names = {resource.removesuffix("."), f"*.{group}", "*.*"}
            self._found[resource] = next((keys for patterns, keys in self._lists if names & set(patterns)), None)
        return self._found[resource]


def read(document: Any) -> Rules:
    """Raises: BadConfiguration."""
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (API_VERSION, KIND):
        raise BadConfiguration(f"not a {KIND} of {API_VERSION}")
    lists = document.get("resources")
    if not isinstance(lists, list) or not lists:
        raise BadConfiguration("resources: at least one list of resources with providers is needed")
    return Rules([_list(item, f"resources[{at}]") for at, item in enumerate(lists)])


def _list(item: Any, field: str) -> tuple[Sequence[str], Keys]:
    if not isinstance(item, dict):
        raise BadConfiguration(f"{field}: is no list of resources with providers")
    resources, providers = item.get("resources"), item.get("providers")
    if not resources or not all(isinstance(name, str) and name and name != "*" for name in resources):
        raise BadConfiguration(f"{field}.resources: names such as secrets, deployments.apps or *.* are needed")
    if not providers:
        raise BadConfiguration(f"{field}.providers: at least one provider is needed")
    keys = [key for at, provider in enumerate(providers) for key in _provider(provider, f"{field}.providers[{at}]")]
    return tuple(resources), Keys(tuple(keys))


def _provider(provider: Any, field: str) -> Iterator[Key | None]:
    if not isinstance(provider, dict) or len(provider) != 1:
        raise BadConfiguration(f"{field}: exactly one of {', '.join(CIPHERS)} and identity is needed")
    ((name, settings),) = provider.items()
    if name == "identity":
        yield None
        return
    if name not in CIPHERS:
        raise BadConfiguration(f"{field}.{name}: pylet has {', '.join(CIPHERS)} and identity")
    keys = (settings or {}).get("keys")
    if not keys:
        raise BadConfiguration(f"{field}.{name}.keys: at least one key is needed")
    for at, key in enumerate(keys):
        yield _key(name, key, f"{field}.{name}.keys[{at}]")


def _key(provider: str, key: Object, field: str) -> Key:
    if not key.get("name"):
        raise BadConfiguration(f"{field}.name: a key has to have a name")
    try:
        secret = base64.b64decode(key.get("secret") or "", validate=True)
    except binascii.Error:
        raise BadConfiguration(f"{field}.secret: secrets must be base64 encoded") from None
    if len(secret) not in KEY_BYTES:
        raise BadConfiguration(f"{field}.secret: is {len(secret)} bytes long, must be one of {list(KEY_BYTES)}")
    return Key(f"k8s:enc:{provider}:v1:{key['name']}:".encode(), CIPHERS[provider](secret))
