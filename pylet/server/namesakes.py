"""Servers whose certificate bears the name of the CA that signed it: OpenSSL takes it for self-signed, and refuses.

Go goes by the signature instead, and the webhooks of knative and of what is built on it are certified so. What such a
server shows is looked at in a handshake that goes no further; where a CA of the bundle signed it, it is trusted as if
the bundle held it, so that OpenSSL checks its names, its time and its purpose as ever.
Source: openssl's crypto/x509/x509_vfy.c build_chain.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import aiohttp

from pylet.aio import certificate
from pylet.aio.elsewhere import elsewhere
from pylet.server.signers import Term, signer

T = TypeVar("T")
Connect = Callable[[ssl.SSLContext], Awaitable[Any]]

_SELF_SIGNED = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
_KNOWN = 64


class Namesakes:
    """Contexts that trust a base64 PEM bundle and what its CAs signed in their own names, as far as it was met."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], ssl.SSLContext] = {}
        self._looked: dict[str, tuple[bytes, Term | None]] = {}  # what was shown last, and who signed it
        self._looking = asyncio.Lock()

    async def met(
        self, bundle: str, trusting: ssl.SSLContext, connect: Callable[[ssl.SSLContext], Awaitable[T]], pem: bytes = b""
    ) -> T:
        """What `connect` returns for a context that trusts the bundle, `trusting` unless more is known.

        `connect` is called again, at most twice, where the server may be such a namesake. `pem` is what the context
        presents. Raises: what `connect` does.
        """
        which = bundle, pem
        context = self._known.get(which, trusting)
        try:
            return await connect(context)
        except aiohttp.ClientConnectorCertificateError as refused:
            if getattr(refused.certificate_error, "verify_code", 0) != _SELF_SIGNED:
                raise
            async with self._looking:
                if self._known.get(which, trusting) is context and not await self._learn(bundle, pem, connect):
                    raise
        return await connect(self._known.get(which, trusting))

    async def _learn(self, bundle: str, pem: bytes, connect: Connect) -> bool:
        shown, trusted = await _shown(connect), base64.b64decode(bundle).decode()
        before, term = self._looked.get(bundle, (b"", None))
        if shown != before:
            term = await asyncio.to_thread(elsewhere, partial(signer, shown, trusted), unless_loaded="cryptography")
            if len(self._looked) >= _KNOWN:
                self._looked.clear()
                self._known.clear()
            self._looked[bundle] = shown, term
        if term is None or not term.start <= datetime.now(UTC) <= term.end:
            return False
        context = self._known[bundle, pem] = certificate.trusting(trusted + ssl.DER_cert_to_PEM_cert(shown))
        if pem:
            certificate.present(context, pem)
        return True


class _Shown(ssl.SSLCertVerificationError):
    """What a server showed: `certificate` (DER)."""

    def __init__(self, certificate: bytes) -> None:
        super().__init__("looked at, not trusted")
        self.certificate = certificate


class _Looking(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        raise _Shown(self.getpeercert(binary_form=True) or b"")


async def _shown(connect: Connect) -> bytes:
    """The certificate (DER) of who `connect` connects to; it gets no further than the handshake."""
    context = certificate.unverified()
    context.sslobject_class = _Looking
    try:
        await connect(context)
    except aiohttp.ClientConnectorCertificateError as looked:
        if isinstance(looked.certificate_error, _Shown):
            return looked.certificate_error.certificate
        raise
    raise AssertionError("a handshake that is only looked at has succeeded")
