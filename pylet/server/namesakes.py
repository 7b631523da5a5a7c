"""Servers whose certificate bears the name of the CA that signed it: OpenSSL takes it for self-signed, and refuses.

Go goes by the signature instead, and the webhooks of knative and of what is built on it are certified so. What such a
server shows is looked at in a handshake that goes no further; where a CA of the bundle signed it, it is trusted as if
the bundle held it, so that OpenSSL checks its names, its time and its purpose as ever.
Source: Go's crypto/x509 Certificate.CheckSignatureFrom; openssl's crypto/x509/x509_vfy.c build_chain.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from pylet.aio import certificate
from pylet.aio.elsewhere import elsewhere

if TYPE_CHECKING:
    from cryptography import x509

T = TypeVar("T")
Connect = Callable[[ssl.SSLContext], Awaitable[Any]]

_SELF_SIGNED = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
_KNOWN = 64


class Namesakes:
    """Contexts that trust a base64 PEM bundle and what its CAs signed in their own names, as far as it was met."""

    def __init__(self) -> None:
        self._known: dict[str, ssl.SSLContext] = {}
        self._looking = asyncio.Lock()

    async def met(self, bundle: str, trusting: ssl.SSLContext, connect: Callable[[ssl.SSLContext], Awaitable[T]]) -> T:
        """What `connect` returns for a context that trusts the bundle, `trusting` unless more is known.

        `connect` is called again, at most twice, where the server may be such a namesake.
        Raises: what `connect` does.
        """
        context = self._known.get(bundle, trusting)
        try:
            return await connect(context)
        except aiohttp.ClientConnectorCertificateError as refused:
            if getattr(refused.certificate_error, "verify_code", 0) != _SELF_SIGNED:
                raise
            async with self._looking:
                if self._known.get(bundle, trusting) is context and not await self._learn(bundle, connect):
                    raise
        return await connect(self._known[bundle])

    async def _learn(self, bundle: str, connect: Connect) -> bool:
        shown, trusted = await _shown(connect), base64.b64decode(bundle).decode()
        signed = partial(is_signed, shown, trusted, datetime.now(UTC))
        if not await asyncio.to_thread(elsewhere, signed, unless_loaded="cryptography"):
            return False
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[bundle] = certificate.trusting(trusted + ssl.DER_cert_to_PEM_cert(shown))
        return True


def is_signed(shown: bytes, bundle: str, now: datetime) -> bool:
    """Whether one of the bundle's CAs signed the certificate (DER)."""
    from cryptography import x509

    try:
        found, authorities = x509.load_der_x509_certificate(shown), x509.load_pem_x509_certificates(bundle.encode())
    except ValueError:
        return False
    return any(_may_sign(authority, now) and _signed(authority, found) for authority in authorities)


def _may_sign(authority: x509.Certificate, now: datetime) -> bool:
    from cryptography import x509

    extensions = authority.extensions
    try:
        if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        usage = extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as missing:
        usage = missing.oid == x509.KeyUsage.oid
    return usage and authority.not_valid_before_utc <= now <= authority.not_valid_after_utc


def _signed(authority: x509.Certificate, found: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        found.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
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
