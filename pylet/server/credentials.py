"""Who the server says it is to webhooks: users of a kubeconfig, found by the name and port of who is called.

Source: apiserver pkg/util/webhook/authentication.go.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pylet.api.object import Object
from pylet.client import kubeconfig
from pylet.client.kubeconfig import Endpoint


@dataclass(frozen=True, slots=True)
class Proof:
    """`pem` is a certificate and its key, "" for none; `headers` are sent with every call; `ca` is trusted, too."""

    pem: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    ca: bytes = b""


NONE = Proof()


class Credentials(Protocol):
    def of(self, target: str) -> Proof:
        """What is shown to a `host:port`. Raises: KubeconfigError."""


class FromKubeconfig:
    def __init__(self, file: Path) -> None:
        """Raises: KubeconfigError."""
        self._config = kubeconfig.load([file], required=True)
        self._users = {entry["name"]: entry.get("user") or {} for entry in self._config["users"]}
        contexts = {entry["name"]: entry.get("context") or {} for entry in self._config["contexts"]}
        self._current: str = contexts.get(self._config["current-context"], {}).get("user") or ""

    def of(self, target: str) -> Proof:
        """Files it names are read each time: they may be other ones by now. Raises: KubeconfigError."""
        named = next((name for name in (*_names(target), self._current) if name in self._users), None)
        if named is None:
            return NONE
        person = kubeconfig.endpoint({"users": self._config["users"]}, user=named)
        pem = person.certificate + b"\n" + person.key if person.certificate and person.key else b""
        return Proof(pem, (*_authorization(person, self._users[named]), *person.impersonation))


def _names(target: str) -> Iterator[str]:
    """What a user may be called who is shown to the target, best first."""
    host, _, port = target.rpartition(":")
    for name in (target, host) if port == "443" else (target,):
        yield name
        parts = name.split(".")
        yield from (f"*.{'.'.join(parts[at:])}" for at in range(1, len(parts)))
    yield "*"


def _authorization(person: Endpoint, user: Object) -> Iterator[tuple[str, str]]:
    if person.token:
        yield "Authorization", f"Bearer {person.token}"
    elif user.get("username") or user.get("password"):
        known = f"{user.get('username') or ''}:{user.get('password') or ''}"
        yield "Authorization", f"Basic {base64.b64encode(known.encode()).decode()}"
