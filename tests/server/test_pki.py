from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pylet.aio import certificate
from pylet.aio.certificate import Pair
from pylet.server.authority import BadRequest
from pylet.server.pki import Pki
from pylet.version import WRITTEN

NOW = WRITTEN + timedelta(days=30)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


def leaves(pki: Pki) -> tuple[Pair, ...]:
    return pki.serving, pki.admin, pki.kubelet_client, pki.front_proxy


def test_what_a_machine_makes_before_its_clock_is_set_is_valid_then_and_later(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "tls")
    pki.ensure(NAMES, EPOCH + timedelta(seconds=10))
    for pair in (pki.ca, pki.front_proxy_ca, *leaves(pki)):
        made = certificate.read(pair.certificate)
        assert made.start == EPOCH
        assert made.end >= WRITTEN + timedelta(days=365)


@pytest.mark.parametrize("days", [300, 400, 3 * 365])
def test_all_leaves_are_made_anew_when_they_are_over_or_soon_will_be(pki: Pki, days: int) -> None:
    ca, then = pki.ca.certificate.read_bytes(), NOW + timedelta(days=days)
    assert pki.ensure(NAMES, then)
    assert pki.ca.certificate.read_bytes() == ca
    assert all(certificate.read(leaf.certificate).end == then + timedelta(days=365) for leaf in leaves(pki))
    assert not pki.ensure(NAMES, then)


@pytest.mark.parametrize(("years", "warned"), [(6.9, 0), (7.1, 2), (11, 2)])
def test_the_end_of_a_ca_is_told_years_before(pki: Pki, years: float, warned: int) -> None:
    assert len(pki.warnings(NOW + timedelta(days=365 * years))) == warned
    named = {line.split()[0] for line in pki.metrics()}
    assert 'pylet_certificate_expiration_timestamp_seconds{certificate="ca"}' in named


def test_nothing_outlives_its_ca(pki: Pki) -> None:
    pki.ensure(NAMES, NOW + timedelta(days=9.5 * 365))
    end = certificate.read(pki.ca.certificate).end
    assert all(certificate.read(leaf.certificate).end == end for leaf in leaves(pki))


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
    made = x509.load_pem_x509_certificate(signed)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.ca.certificate.read_bytes()))
    assert made.not_valid_after_utc == NOW + timedelta(days=1) - timedelta(minutes=5)
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    with pytest.raises(BadRequest):
        pki.authority(lambda: NOW).sign(b"nonsense", [])
