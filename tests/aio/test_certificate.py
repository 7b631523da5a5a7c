from __future__ import annotations

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
