from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pylet.server.authority import BadRequest
from pylet.server.pki import Pki

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = ["localhost", "127.0.0.1", "::1", "fd00::a", "kubernetes.default.svc"]


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    made = Pki(tmp_path / "tls")
    made.ensure(NAMES, NOW)
    return made


def test_keys_are_for_their_owner_alone(pki: Pki) -> None:
    for file in pki.directory.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_good_files_are_kept(pki: Pki) -> None:
    before = {file.name: file.read_bytes() for file in pki.directory.iterdir()}
    pki.ensure(NAMES, NOW + timedelta(days=200))
    assert {file.name: file.read_bytes() for file in pki.directory.iterdir()} == before


@pytest.mark.parametrize(
    ("names", "days"), [pytest.param([*NAMES, "new.example"], 0, id="a new name"), pytest.param(NAMES, 300, id="age")]
)
def test_the_serving_certificate_is_made_anew_for(pki: Pki, names: list[str], days: int) -> None:
    ca, serving = pki.ca.certificate.read_bytes(), pki.serving.certificate.read_bytes()
    pki.ensure(names, NOW + timedelta(days=days))
    assert pki.serving.certificate.read_bytes() != serving
    assert pki.ca.certificate.read_bytes() == ca


def test_a_request_is_signed_as_it_asks(pki: Pki) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "system:node:a")]
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(names))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    signed = pki.authority(lambda: NOW).sign(request, ["digital signature", "server auth"], timedelta(days=1))
    certificate = x509.load_pem_x509_certificate(signed)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.ca.certificate.read_bytes()))
    assert certificate.not_valid_after_utc == NOW + timedelta(days=1) - timedelta(minutes=5)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    with pytest.raises(BadRequest):
        pki.authority(lambda: NOW).sign(b"nonsense", [])
