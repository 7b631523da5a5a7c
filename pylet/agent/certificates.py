"""Keys and certificate requests of a node. Another interpreter makes them: `cryptography` would be 10 MiB here."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pylet.aio.elsewhere import elsewhere

if TYPE_CHECKING:
    from cryptography import x509


def new_requests(
    names: Sequence[str], organization: str, *, addresses: Sequence[str] = ()
) -> list[tuple[bytes, bytes]]:
    """For each name a fresh P-256 key and a certificate request for it, both PEM; `addresses` are host names or IPs to
    serve as. It blocks for 0.2 s."""
    return elsewhere(partial(_new_requests, tuple(names), organization, tuple(addresses)))


def _new_requests(names: Sequence[str], organization: str, addresses: Sequence[str]) -> list[tuple[bytes, bytes]]:
    return [_new_request(name, organization, addresses) for name in names]


def _new_request(name: str, organization: str, addresses: Sequence[str]) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if addresses:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(address) for address in addresses]), critical=False
        )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(address: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)
