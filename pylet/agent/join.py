"""How a machine becomes a node: pin the CA, trade the token for a certificate, then keep the certificates fresh.

The token's secret is sent only over a connection whose certificate the pinned CA signed. After the first start the
token is not needed any more: the node's own certificate asks for the next one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pylet.agent.certificates import new_requests
from pylet.aio import certificate, timeset
from pylet.aio.certificate import Pair
from pylet.aio.clock import Clock
from pylet.aio.prometheus import Counter
from pylet.api import jointoken
from pylet.api.errors import ApiError, Unauthorized
from pylet.api.kinds.certificatesigningrequest import KIND as CSR
from pylet.api.object import Key, Object, condition_of, dig
from pylet.client.http import HttpClient
from pylet.client.interface import Client, Unreachable
from pylet.version import VERSION

log = logging.getLogger(__name__)

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
_RENEW_BEFORE = timedelta(days=91)  # its end, or a quarter of its life where that is shorter
_APPROVAL_SECONDS = 60
_RETRY_SECONDS = 30
_ONCE_SECONDS = 3600  # a server whose clock is behind signs what is over here


class JoinError(Exception):
    """The machine cannot join; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a node keeps what it proves itself with, below `<data-dir>/agent`."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "server-ca.crt"

    @property
    def client(self) -> Pair:
        return Pair(self.directory / "client-kubelet.crt", self.directory / "client-kubelet.key")

    @property
    def serving(self) -> Pair:
        return Pair(self.directory / "serving-kubelet.crt", self.directory / "serving-kubelet.key")

    def write_kubeconfig(self, server: str) -> None:
        """`kubelet.kubeconfig`: how people and tools on this machine reach the API as this node."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "default", "cluster": {"server": server, "certificate-authority": str(self.ca)}}],
            "users": [
                {
                    "name": "default",
                    "user": {"client-certificate": str(self.client.certificate), "client-key": str(self.client.key)},
                }
            ],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
            "current-context": "default",
        }
        (self.directory / "kubelet.kubeconfig").write_text(json.dumps(content, indent=2) + "\n")

    def tls(self) -> ssl.SSLContext:
        """A context to reach the API server with, as this node when it has a certificate."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.client.exists():
            self.client.load_into(context)
        return context


async def join(servers: Sequence[str], token: str | None, nodes: Mapping[str, Credentials]) -> None:
    """Make sure each of the nodes, by name, has a client certificate: one, or a process full of hollow ones.

    Any of the servers will do. Raises: JoinError, Unreachable (the caller may try again).
    """
    missing = {name: own for name, own in nodes.items() if not (own.client.exists() and own.ca.exists())}
    if missing:
        await enter(servers, token, missing)


async def enter(servers: Sequence[str], token: str | None, missing: Mapping[str, Credentials]) -> None:
    """Trade the token for certificates, whether or not there are some. Raises: JoinError, Unreachable."""
    if not token:
        raise JoinError(
            "this node has not joined yet: give --token with what `pylet token create` prints on the server"
        )
    try:
        parsed = jointoken.parse(token)
    except jointoken.BadToken as bad:
        raise JoinError(str(bad)) from bad
    server, ca = await _first_pinned_ca(servers, parsed)
    for own in missing.values():
        own.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        own.ca.write_bytes(ca)
    async with HttpClient(server, next(iter(missing.values())).tls, token=parsed.secret) as client:
        try:
            users = [f"system:node:{name}" for name in missing]
            made = await asyncio.to_thread(new_requests, users, "system:nodes")
            for own, (key, request) in zip(missing.values(), made, strict=True):
                own.client.write(await _certificate(client, CLIENT_SIGNER, request, "client auth"), key)
        except Unauthorized as refused:
            raise JoinError(
                f"{server} does not know this token, or it has expired: "
                "make a new one with `pylet token create` on the server"
            ) from refused


async def _first_pinned_ca(servers: Sequence[str], token: jointoken.JoinToken) -> tuple[str, bytes]:
    """The first server that answers, and its CA."""
    for server in servers[:-1]:
        try:
            return server, await _pinned_ca(server, token)
        except Unreachable as away:
            log.warning("%s; trying another server", away.message)
    return servers[-1], await _pinned_ca(servers[-1], token)


async def _pinned_ca(server: str, token: jointoken.JoinToken) -> bytes:
    pem = await asyncio.to_thread(_fetch_ca, server)
    try:
        found = jointoken.ca_hash(pem)
    except jointoken.BadToken as bad:
        raise JoinError(f"{server} answers, but not as a pylet server does: {bad}") from bad
    if token.ca_hash is None:
        log.warning("the token pins no CA: trusting the one %s shows (SHA-256 %s)", server, found)
    elif found != token.ca_hash:
        raise JoinError(
            f"the CA of {server} is not the one this token was made for (its SHA-256 is {found}, the token pins "
            f"{token.ca_hash}): check --server, or make a new token with `pylet token create` on that server"
        )
    return ssl.DER_cert_to_PEM_cert(jointoken.root(pem)).encode()


def _fetch_ca(server: str) -> bytes:
    # Unverified on purpose: what comes is public, and is trusted only after its hash has been compared.
    import urllib.error
    import urllib.request

    try:
        request = urllib.request.Request(f"{server}/cacerts", headers={"User-Agent": f"pylet/{VERSION}"})
        with urllib.request.urlopen(request, timeout=10, context=certificate.unverified()) as answer:
            pem: bytes = answer.read(1 << 20)
            return pem
    except urllib.error.HTTPError as refused:
        raise JoinError(f"{server}/cacerts answers {refused.code}: is that a pylet server?") from refused
    except OSError as failed:
        raise Unreachable(f"cannot reach {server}: {failed}") from failed


async def request_certificate(
    client: Client,
    signer: str,
    pair: Pair,
    name: str,
    organization: str,
    *,
    usage: str,
    addresses: Sequence[str] = (),
) -> None:
    """Ask `signer` through the CSR API and store what it signs. Raises: ApiError, JoinError."""
    [(key, request)] = await asyncio.to_thread(new_requests, [name], organization, addresses=addresses)
    pair.write(await _certificate(client, signer, request, usage), key)


async def _certificate(client: Client, signer: str, request: bytes, usage: str) -> bytes:
    obj: Object = {
        "apiVersion": CSR.api_version,
        "kind": CSR.name,
        "metadata": {"name": f"csr-{secrets.token_hex(8)}"},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": signer,
            "usages": ["digital signature", usage],
        },
    }
    created = await client.create(CSR, obj)
    try:
        async with asyncio.timeout(_APPROVAL_SECONDS):
            return base64.b64decode(await _signed(client, created))
    except TimeoutError:
        raise JoinError(
            f"certificate request {obj['metadata']['name']} was not approved within {_APPROVAL_SECONDS} s: "
            "look at it with `pylet kubectl get csr`"
        ) from None


async def _signed(client: Client, request: Object) -> str:
    key = Key("", request["metadata"]["name"])
    while True:
        found = await client.get(CSR, key)
        if certificate := _outcome(found):
            return certificate
        since = found["metadata"]["resourceVersion"]
        async for changes in client.watch(CSR, since=since, fields=f"metadata.name={key.name}"):
            for change in changes:
                if certificate := _outcome(change.object):
                    return certificate


def _outcome(request: Object) -> str:
    """The certificate, base64, or "" while nobody has decided. Raises: JoinError when it was refused."""
    for refusal in ("Denied", "Failed"):
        if condition := condition_of(request, refusal):
            name, why = request["metadata"]["name"], condition.get("message") or condition.get("reason")
            raise JoinError(f"certificate request {name} was {refusal.lower()}: {why}")
    return str(dig(request, "status", "certificate", default=""))


class Renewal:
    """Replaces one certificate before it expires, for as long as `run` runs; `renewed` is called after each."""

    def __init__(
        self,
        pair: Pair,
        clock: Clock,
        request: Callable[[], Awaitable[None]],
        renewed: Callable[[], Awaitable[None]],
        errors: Counter,
    ) -> None:
        """`errors` counts how often it failed."""
        self._errors = errors
        self._pair = pair
        self._clock = clock
        self._request = request
        self._renewed = renewed
        self._renewed_at: float | None = None

    async def run(self) -> None:
        while True:
            if (wait := self._due_in()) > timedelta():
                await timeset.sleep(self._clock, wait.total_seconds())
                continue
            try:
                await self._request()
                await self._renewed()
                self._renewed_at = self._clock.monotonic()
                if self._due_in() <= timedelta():
                    await timeset.sleep(self._clock, _ONCE_SECONDS)
            except (ApiError, JoinError, OSError) as failed:  # OSError: a full disk must not end the node
                self._errors.add()
                log.warning("renew %s: %s; trying again in %d s", self._pair.certificate.name, failed, _RETRY_SECONDS)
                await self._clock.sleep(_RETRY_SECONDS)

    def _due_in(self) -> timedelta:
        if not self._pair.exists():
            return timedelta()
        found = certificate.read(self._pair.certificate)
        now, before = self._clock.now(), min(_RENEW_BEFORE, (found.end - found.start) / 4)
        if now < found.start:  # this machine's clock is behind: nobody knows how old the certificate is
            if self._renewed_at is None:
                return timedelta()
            return found.end - found.start - before - timedelta(seconds=self._clock.monotonic() - self._renewed_at)
        return found.end - before - now
