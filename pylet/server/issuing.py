"""Certificates and their keys, made with `cryptography`, which is 10 MiB: who needs this imports it then, or elsewhere.

P-256 throughout, because making an RSA key costs up to a second.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pylet.server.authority import LEAF_LIFE, Asked, BadRequest

if TYPE_CHECKING:
    from pylet.aio.certificate import Pair

_CA_LIFE = timedelta(days=3650)
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)  # valid since then: machines without a battery's clock start there
_BACKDATE = timedelta(minutes=5)  # clocks of a cluster differ
_SHORT_LIFE = timedelta(hours=8)

_USAGES = {
    "any": "ANY_EXTENDED_KEY_USAGE",
    "client auth": "CLIENT_AUTH",
    "code signing": "CODE_SIGNING",
    "email protection": "EMAIL_PROTECTION",
    "ocsp signing": "OCSP_SIGNING",
    "s/mime": "EMAIL_PROTECTION",
    "server auth": "SERVER_AUTH",
    "timestamping": "TIME_STAMPING",
}
_KEY_USAGES = {
    "cert sign",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "encipher only",
    "key agreement",
    "key encipherment",
    "signing",
}


@dataclass(frozen=True, slots=True)
class Issuer:
    certificate: x509.Certificate
    key: Any

    @classmethod
    def of(cls, pair: Pair) -> Issuer:
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        return cls(certificate, load_pem_private_key(pair.key.read_bytes(), None))

    @property
    def end(self) -> datetime:
        return self.certificate.not_valid_after_utc


def new_ca(name: str, now: datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"pylet-{name}@{int(now.timestamp())}", "")
    certificate = (
        _builder(subject, subject, key.public_key(), _ALWAYS, now + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage({"cert sign", "crl sign"}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), _private_pem(key)


def new_key_pair() -> tuple[bytes, bytes]:
    """The public half first."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), _private_pem(key)


def new_leaf(
    issuer: Pair,
    name: str,
    organization: str,
    now: datetime,
    usage: str,
    names: Sequence[str] = (),
    start: datetime | None = None,
) -> tuple[bytes, bytes]:
    """A certificate and its key, valid since its issuer is unless told; `names` are host names and IPs to serve as."""
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_general_name(n) for n in names]) if names else None
    usages = ("digital signature", "key encipherment", usage)
    authority = Issuer.of(issuer)
    start, end = start or authority.certificate.not_valid_before_utc, min(now + LEAF_LIFE, authority.end)
    subject = _subject(name, organization)
    return _issue(authority, subject, key.public_key(), alternatives, usages, start, end), _private_pem(key)


def read(request: bytes) -> Asked:
    """What a PEM request asks for. Raises: ValueError."""
    asked = x509.load_pem_x509_csr(request)
    common = [str(found.value) for found in asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    names = _alternatives(asked) or x509.SubjectAlternativeName([])
    return Asked(
        common[0] if common else "",
        tuple(str(found.value) for found in organizations),
        tuple(names.get_values_for_type(x509.DNSName)),
        tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)),
        tuple(names.get_values_for_type(x509.RFC822Name)),
        tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def sign(issuer: Issuer, request: bytes, usages: Iterable[str], life: timedelta, now: datetime) -> bytes:
    """The PEM certificate for a PEM request, subject and alternative names as asked. Raises: BadRequest."""
    try:
        asked = x509.load_pem_x509_csr(request)
    except ValueError as bad:
        raise BadRequest(f"the request is not a PEM certificate request: {bad}") from bad
    if not asked.is_signature_valid:
        raise BadRequest("the request's signature does not match its key")
    allowance = timedelta() if life < _SHORT_LIFE else _BACKDATE  # a short one is not made shorter
    end = min(now + life - allowance, issuer.end)
    return _issue(issuer, asked.subject, asked.public_key(), _alternatives(asked), usages, now - _BACKDATE, end)


def _alternatives(asked: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    try:
        return asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _issue(
    issuer: Issuer,
    subject: x509.Name,
    public_key: Any,
    alternatives: x509.SubjectAlternativeName | None,
    usages: Iterable[str],
    start: datetime,
    end: datetime,
) -> bytes:
    builder = (
        _builder(subject, issuer.certificate.subject, public_key, start, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    given = set(usages)
    if given & _KEY_USAGES:
        builder = builder.add_extension(_key_usage(given), critical=True)
    extended = [getattr(ExtendedKeyUsageOID, _USAGES[usage]) for usage in sorted(given) if usage in _USAGES]
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: Any, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _key_usage(usages: Set[str]) -> x509.KeyUsage:
    agrees = "key agreement" in usages
    return x509.KeyUsage(
        digital_signature=bool({"digital signature", "signing", "cert sign"} & usages),
        content_commitment="content commitment" in usages,
        key_encipherment="key encipherment" in usages,
        data_encipherment="data encipherment" in usages,
        key_agreement=agrees,
        key_cert_sign="cert sign" in usages,
        crl_sign="crl sign" in usages,
        encipher_only=agrees and "encipher only" in usages,
        decipher_only=agrees and "decipher only" in usages,
    )


def _subject(name: str, organization: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
