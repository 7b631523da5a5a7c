"""Certificates that bear the name of the CA that signed them: trusted by their signature, as Go does."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pylet.aio import certificate
from pylet.server import namesakes
from pylet.server.namesakes import Namesakes
from pylet.server.signers import signer

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
NAME = "hook.default.svc"
SERVES = x509.SubjectAlternativeName([x509.DNSName(NAME)])
CA = x509.BasicConstraints(ca=True, path_length=None)


def usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


SIGNS, SIGNS_NOTHING = usage(key_cert_sign=True), usage(key_cert_sign=False)


@dataclass(frozen=True)
class Made:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def made(*extensions: x509.ExtensionType, by: Made | None = None, end: datetime = NOW + DAY, name: str = NAME) -> Made:
    """One for `name`, signed by itself or by one that bears `NAME`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, NAME))
    builder = x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), NOW - 2 * DAY, end
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Made(builder.sign(by.key if by else key, hashes.SHA256()), key)


AUTHORITY = made(CA, SIGNS)


@pytest.mark.parametrize(
    ("authority", "is_trusted"),
    [
        pytest.param(AUTHORITY, True, id="a CA may sign"),
        pytest.param(made(CA), True, id="one that does not say what its key is for, too"),
        pytest.param(made(SIGNS), False, id="one that does not say that it is a CA may not"),
        pytest.param(made(CA, SIGNS_NOTHING), False, id="nor one whose key is for something else"),
    ],
)
def test_who_may_sign(authority: Made, is_trusted: bool) -> None:
    assert (signer(made(SERVES, by=authority).der, authority.pem) is not None) is is_trusted


def test_a_name_is_not_enough() -> None:
    assert signer(made(SERVES, by=made(CA, SIGNS)).der, AUTHORITY.pem) is None


def test_any_ca_of_a_bundle_will_do() -> None:
    assert signer(made(SERVES, by=AUTHORITY).der, made(CA, SIGNS).pem + AUTHORITY.pem)


@pytest.mark.parametrize("bundle", ["", "nothing"])
def test_a_bundle_without_a_certificate_signs_nothing(bundle: str) -> None:
    assert signer(made(SERVES, by=AUTHORITY).der, bundle) is None


class Server:
    """Answers the number of requests it got; `show` lets it show another certificate from now on."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self._folder = folder
        self._session = session
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.requests = 0
        self.port = 0
        self.tried = 0

    def show(self, shown: Made) -> None:
        pair = certificate.Pair(self._folder / "tls.crt", self._folder / "tls.key")
        key = shown.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pair.write(shown.pem.encode(), key)
        pair.load_into(self.tls)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.requests += 1
        return web.Response(text=str(self.requests))

    async def ask(self, tls: ssl.SSLContext) -> str:
        self.tried += 1
        url = f"https://127.0.0.1:{self.port}"
        async with self._session.post(url, ssl=tls, server_hostname=NAME) as response:
            return await response.text()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        server = Server(tmp_path, session)
        server.show(made(SERVES, by=AUTHORITY))
        runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server.tls).start()
        server.port = runner.addresses[0][1]
        yield server
        await runner.cleanup()


Meet = Callable[[Made], Awaitable[str]]


@pytest.fixture
def meet(server: Server) -> Meet:
    known = Namesakes()

    async def meet(authority: Made) -> str:
        bundle = base64.b64encode(authority.pem.encode()).decode()
        return await known.met(bundle, certificate.trusting(authority.pem), server.ask)

    return meet


async def test_it_is_met_and_asked_once(server: Server, meet: Meet) -> None:
    assert await meet(AUTHORITY) == "1"


async def test_who_was_met_is_known(server: Server, meet: Meet) -> None:
    await meet(AUTHORITY)
    tried = server.tried
    assert await meet(AUTHORITY) == "2"
    assert server.tried == tried + 1


async def test_a_newer_certificate_of_its_is_met_again(server: Server, meet: Meet) -> None:
    await meet(AUTHORITY)
    server.show(made(SERVES, by=AUTHORITY))
    assert await meet(AUTHORITY) == "2"


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        pytest.param(
            made(SERVES, by=made(CA, SIGNS)), "self-signed certificate", id="another CA of that name signed it"
        ),
        pytest.param(made(SERVES), "self-signed certificate", id="it is self-signed indeed"),
        pytest.param(made(by=AUTHORITY), "Hostname mismatch", id="it says for nobody but by its name"),
        pytest.param(made(SERVES, by=AUTHORITY, end=NOW - DAY), "expired", id="its time is over"),
        pytest.param(made(SERVES, by=made(CA, SIGNS), name="other"), "signature failure", id="it is no namesake"),
    ],
)
async def test_who_is_not_trusted_hears_nothing(server: Server, meet: Meet, shown: Made, says: str) -> None:
    server.show(shown)
    with pytest.raises(aiohttp.ClientConnectorCertificateError, match=says):
        await meet(AUTHORITY)
    assert server.requests == 0


async def test_a_ca_whose_time_is_over_signs_no_more(server: Server, meet: Meet) -> None:
    authority = made(CA, SIGNS, end=NOW - DAY)
    server.show(made(SERVES, by=authority))
    with pytest.raises(aiohttp.ClientConnectorCertificateError, match="self-signed certificate"):
        await meet(authority)


async def test_what_was_refused_is_not_examined_anew(
    server: Server, meet: Meet, monkeypatch: pytest.MonkeyPatch
) -> None:
    examined = 0

    def examine(compute: Callable[[], object], *, unless_loaded: str) -> object:
        nonlocal examined
        examined += 1
        return compute()

    monkeypatch.setattr(namesakes, "elsewhere", examine)
    for shown, sum_so_far in ((first := made(SERVES), 1), (first, 1), (made(SERVES), 2)):
        server.show(shown)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await meet(AUTHORITY)
        assert examined == sum_so_far
