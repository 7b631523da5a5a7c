"""Certificates and keys in files, and what `ssl` reads there: `cryptography`, which could too, is 10 MiB of RSS."""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pylet.aio import wholefile

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which `ssl` has no name for


def unverified() -> ssl.SSLContext:
    """For connections to whom it may be: no certificate is checked, nor are the system's CAs read, which takes long."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def trusting(bundle: str | None) -> ssl.SSLContext:
    """Trusts the PEM certificates of a bundle, or the system's CAs without one, as Go does: each as it is, be it no
    CA's but a server's own, and with any text around them; a server is named by its alternative names alone.
    Raises: ssl.SSLError."""
    context = ssl.create_default_context(cadata=bundle and bundle.encode("ascii", "replace").decode())
    context.verify_flags = (context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    return context


def present(context: ssl.SSLContext, pem: bytes) -> None:
    """Prove oneself with a certificate and its key in the context's later connections. Raises: ssl.SSLError, OSError.

    ssl takes the pair from a file only: one without a name, so that the key never touches a disk.
    """
    descriptor = os.memfd_create("pylet-client", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, or a public and a private key: two PEM files."""

    certificate: Path
    key: Path

    def exists(self) -> bool:
        return self.certificate.exists() and self.key.exists()

    def load_into(self, context: ssl.SSLContext) -> None:
        """Prove oneself with this pair in the context's later connections."""
        context.load_cert_chain(self.certificate, self.key)

    def write(self, certificate: bytes, key: bytes) -> None:
        wholefile.write(self.key, key, durable=True)
        wholefile.write(self.certificate, certificate, durable=True)


@dataclass(frozen=True, slots=True)
class Certificate:
    """`names` are the host names and IPs it is for, in the form that `canonical` gives them."""

    start: datetime
    end: datetime
    names: frozenset[str]

    def covers(self, name: str) -> bool:
        return canonical(name) in self.names


def read(path: Path) -> Certificate:
    """Raises: ValueError for a broken file, OSError."""
    try:
        found: dict[str, Any] = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
    except ssl.SSLError as broken:
        raise ValueError(f"{path}: {broken}") from broken
    names = frozenset(canonical(name) for _, name in found.get("subjectAltName", ()))
    return Certificate(moment(found["notBefore"]), moment(found["notAfter"]), names)


def ignore_dates(context: ssl.SSLContext) -> None:
    """Verify certificates whatever the time of day is: a machine without a battery's clock starts in the past, where
    none is valid yet. Who accepts one looks at its end himself, and at what `has_begun` says."""
    context.verify_flags |= _NO_CHECK_TIME


def has_begun(connection: ssl.SSLObject, now: datetime) -> bool:
    """Whether the verified certificate that came is to be believed from now on, as are those between it and the CA."""
    verified = connection._sslobj.get_verified_chain()  # type: ignore[attr-defined]  # public from Python 3.13
    own, *between = (one.get_info() for one in verified[:-1])
    return moment(own["notBefore"]) <= now and all(
        moment(one["notBefore"]) <= now <= moment(one["notAfter"]) for one in between
    )


def canonical(name: str) -> str:
    """Host names are alike in any case, addresses however they are written."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


@lru_cache(1024)
def moment(shown: str) -> datetime:
    """A certificate's beginning or end, as `ssl` shows them."""
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown), UTC)
