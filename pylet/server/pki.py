"""The cluster's keys: one CA that signs servers and clients, the service-account key, and what is made from them.

Everything lives below `<data-dir>/server/tls` in PEM files, keys readable by their owner alone. What the server needs
for itself is made by another interpreter: `cryptography` would be 10 MiB here for as long as this one lives, and is
imported when somebody else's request is to be signed. P-256 throughout, because making an RSA key costs up to a second.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import sys
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pylet.aio import certificate
from pylet.aio.elsewhere import elsewhere

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

T = TypeVar("T")

FRONT_PROXY = "front-proxy-client"
"""The name extension servers know the API server by."""
_CA_DAYS = 3650
_LEAF_DAYS = 365
_RENEW_DAYS = 90
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


class BadRequest(ValueError):
    """A certificate request nobody can sign; the message says why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, or a public and a private key: two PEM files with one stem."""

    certificate: Path
    key: Path

    def exists(self) -> bool:
        return self.certificate.exists() and self.key.exists()

    def load_into(self, context: ssl.SSLContext) -> None:
        """Prove oneself with this pair in the context's later connections."""
        context.load_cert_chain(self.certificate, self.key)

    def write(self, certificate: bytes, key: bytes) -> None:
        write_private(self.key, key)
        write_private(self.certificate, certificate)


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the files are."""

    directory: Path

    def _pair(self, stem: str) -> Pair:
        return Pair(self.directory / f"{stem}.crt", self.directory / f"{stem}.key")

    @property
    def ca(self) -> Pair:
        return self._pair("ca")

    @property
    def serving(self) -> Pair:
        return self._pair("serving-apiserver")

    @property
    def admin(self) -> Pair:
        return self._pair("client-admin")

    @property
    def kubelet_client(self) -> Pair:
        """What the API server proves itself with to kubelets."""
        return self._pair("client-apiserver-kubelet")

    @property
    def front_proxy_ca(self) -> Pair:
        """Signs whom extension servers believe about who asks: never a user's certificate, so not the cluster's CA."""
        return self._pair("front-proxy-ca")

    @property
    def front_proxy(self) -> Pair:
        """What the API server proves itself with to extension servers."""
        return self._pair("front-proxy-client")

    @property
    def service_account(self) -> Pair:
        """The key tokens are signed with; `certificate` is its public half."""
        return Pair(self.directory / "service-account.pub", self.directory / "service-account.key")

    def ensure(self, names: Sequence[str], now: datetime) -> None:
        """Make what is missing, about to expire or not valid for `names` (host names and IPs). Raises: OSError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lasting = all(pair.exists() for pair in (self.ca, self.front_proxy_ca, self.service_account))
        leaves = (self.admin, self.kubelet_client, self.front_proxy)
        if not (lasting and _is_good(self.serving, now, names) and all(_is_good(leaf, now) for leaf in leaves)):
            _apart(partial(self._make, names, now))

    def _make(self, names: Sequence[str], now: datetime) -> None:
        for authority in (self.ca, self.front_proxy_ca):
            if not authority.exists():
                authority.write(*_new_ca(authority.certificate.stem, now))
        if not self.service_account.exists():
            self.service_account.write(*_new_key_pair())
        if not _is_good(self.serving, now, names):
            self.serving.write(*_leaf(self.ca, "pylet-apiserver", "", now, "server auth", names))
        if not _is_good(self.admin, now):
            self.admin.write(*_leaf(self.ca, "system:admin", "system:masters", now, "client auth"))
        if not _is_good(self.kubelet_client, now):
            self.kubelet_client.write(*_leaf(self.ca, "kube-apiserver", "system:masters", now, "client auth"))
        if not _is_good(self.front_proxy, now):
            self.front_proxy.write(*_leaf(self.front_proxy_ca, FRONT_PROXY, "", now, "client auth"))

    def server_context(self) -> ssl.SSLContext:
        """TLS for the API: a client certificate is asked for and may be missing."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        self.serving.load_into(context)
        context.load_verify_locations(self.ca.certificate)
        context.load_verify_locations(self.front_proxy_ca.certificate)
        return context

    def front_proxy_issuer(self) -> Any:
        """Whose certificates front proxies bear, as `ssl` shows a certificate's issuer."""
        return ssl._ssl._test_decode_cert(str(self.front_proxy_ca.certificate))["subject"]  # type: ignore[attr-defined]

    def kubelet_context(self) -> ssl.SSLContext:
        """TLS to a kubelet, whose certificate the CA signed for the node's addresses."""
        context = ssl.create_default_context(cafile=str(self.ca.certificate))
        self.kubelet_client.load_into(context)
        return context

    def authority(self, clock: Callable[[], datetime]) -> Authority:
        return Authority(self.ca, clock)


@dataclass(slots=True)
class Asked:
    """What a certificate request asks for: common name, organizations and alternative names."""

    name: str
    organizations: tuple[str, ...]
    dns: tuple[str, ...]
    ips: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]


class Authority:
    """Signs certificate requests with the cluster's CA: what the CSR signer is given."""

    def __init__(self, ca: Pair, clock: Callable[[], datetime]) -> None:
        self._ca = ca
        self._clock = clock
        self._issuer: _Issuer | None = None

    def kubelet_serving(self, node: str, names: Sequence[str]) -> tuple[bytes, bytes]:
        """A certificate and its key for the kubelet beside this server. It blocks for 0.2 s."""
        user = f"system:node:{node}"
        return _apart(partial(_leaf, self._ca, user, "system:nodes", self._clock(), "server auth", names))

    def subject(self, request: bytes) -> Asked:
        """What a PEM request asks for. Raises: ValueError."""
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        asked = x509.load_pem_x509_csr(request)
        common = [str(found.value) for found in asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        organizations = asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        try:
            names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names = x509.SubjectAlternativeName([])
        return Asked(
            common[0] if common else "",
            tuple(str(found.value) for found in organizations),
            tuple(names.get_values_for_type(x509.DNSName)),
            tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)),
            tuple(names.get_values_for_type(x509.RFC822Name)),
            tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        )

    def sign(self, request: bytes, usages: Iterable[str], life: timedelta = timedelta(days=_LEAF_DAYS)) -> bytes:
        """The PEM certificate for a PEM request, subject and alternative names as asked. Raises: BadRequest."""
        from cryptography import x509

        try:
            asked = x509.load_pem_x509_csr(request)
        except ValueError as bad:
            raise BadRequest(f"the request is not a PEM certificate request: {bad}") from bad
        if not asked.is_signature_valid:
            raise BadRequest("the request's signature does not match its key")
        if self._issuer is None:
            self._issuer = _Issuer.of(self._ca)
        try:
            alternatives = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            alternatives = None
        now = self._clock()
        allowance = timedelta() if life < _SHORT_LIFE else _BACKDATE  # a short one is not made shorter
        end = min(now + life - allowance, self._issuer.certificate.not_valid_after_utc)
        return _issue(self._issuer, asked.subject, asked.public_key(), alternatives, usages, now, end)


@dataclass(frozen=True, slots=True)
class _Issuer:
    certificate: x509.Certificate
    key: Any

    @classmethod
    def of(cls, pair: Pair) -> _Issuer:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        return cls(certificate, load_pem_private_key(pair.key.read_bytes(), None))


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that appears whole or not at all, readable by its owner alone from its first byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
    fresh.replace(path)


def _is_good(pair: Pair, now: datetime, names: Sequence[str] = ()) -> bool:
    """Whether the pair is there, stays valid for a while and covers `names`."""
    if not pair.exists():
        return False
    try:
        found = certificate.read(pair.certificate)
    except ValueError:
        return False
    return found.end - now >= timedelta(days=_RENEW_DAYS) and all(map(found.covers, names))


def _apart(make: Callable[[], T]) -> T:
    """By an interpreter that loads `cryptography` and ends, unless this one has it anyway."""
    return make() if "cryptography" in sys.modules else elsewhere(make)


def _new_ca(name: str, now: datetime) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"pylet-{name}@{int(now.timestamp())}", "")
    certificate = (
        _builder(subject, subject, key.public_key(), now, now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage({"cert sign", "crl sign"}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)


def _new_key_pair() -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public, _private_pem(key)


def _leaf(
    issuer: Pair, name: str, organization: str, now: datetime, usage: str, names: Sequence[str] = ()
) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_general_name(n) for n in names]) if names else None
    end = now + timedelta(days=_LEAF_DAYS)
    usages = ("digital signature", "key encipherment", usage)
    signed = _issue(_Issuer.of(issuer), _subject(name, organization), key.public_key(), alternatives, usages, now, end)
    return signed, _private_pem(key)


def _issue(
    issuer: _Issuer,
    subject: x509.Name,
    public_key: Any,
    alternatives: x509.SubjectAlternativeName | None,
    usages: Iterable[str],
    now: datetime,
    end: datetime,
) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    builder = (
        _builder(subject, issuer.certificate.subject, public_key, now, end)
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
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: Any, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(end)
    )


def _key_usage(usages: Set[str]) -> x509.KeyUsage:
    from cryptography import x509

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
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
