from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylet.aio import certificate
from pylet.server.pki import Pki

NOW = datetime(2027, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> certificate.Certificate:
    pki = Pki(tmp_path_factory.mktemp("tls"))
    pki.ensure(["Node.example", "192.0.2.1", "fd00::a:1"], NOW)
    return certificate.read(pki.serving.certificate)


def test_it_says_from_when_until_when_it_is_valid(found: certificate.Certificate) -> None:
    assert found.start <= NOW < found.end
    assert found.end - NOW == timedelta(days=365)


@pytest.mark.parametrize("name", ["node.example", "NODE.example", "192.0.2.1", "fd00::a:1", "FD00:0:0:0:0:0:A:1"])
def test_it_covers_its_names_however_they_are_written(found: certificate.Certificate, name: str) -> None:
    assert found.covers(name)


@pytest.mark.parametrize("name", ["example", "192.0.2.2", "fd00::a:2"])
def test_it_covers_no_other(found: certificate.Certificate, name: str) -> None:
    assert not found.covers(name)


def test_a_broken_file_is_a_bad_value(tmp_path: Path) -> None:
    broken = tmp_path / "broken.crt"
    broken.write_text("nothing")
    with pytest.raises(ValueError, match=r"broken\.crt"):
        certificate.read(broken)


def shaken_hands(server: ssl.SSLContext, bundle: str) -> None:
    """A client that trusts the bundle meets the server, with no socket between them. Raises: ssl.SSLError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        certificate.trusting(bundle).wrap_bio(back, there, server_hostname="node.example"),
        server.wrap_bio(there, back, server_side=True),
    ]
    while ends:
        for end in list(ends):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
                ends.remove(end)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    pki = Pki(tmp_path_factory.mktemp("trusted"))
    pki.ensure(["node.example"], datetime.now(UTC))
    return pki


@pytest.mark.parametrize("text", ["", "# Főtanúsítvány\n"])
@pytest.mark.parametrize("whose", ["ca", "serving"])
def test_whatever_a_bundle_holds_is_trusted_whoever_signed_it(pki: Pki, whose: str, text: str) -> None:
    pair: certificate.Pair = getattr(pki, whose)
    shaken_hands(pki.server_context(), text + pair.certificate.read_text())


def test_what_it_does_not_hold_is_not(pki: Pki) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken_hands(pki.server_context(), pki.front_proxy_ca.certificate.read_text())
