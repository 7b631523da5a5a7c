"""Certificates that clients show, good and odd, over TLS on loopback: a CA's name below them is not all."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pylet.server.pki import Pki
from tests.server.auth.test_access import account_token

HOUR = timedelta(hours=1)
UID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")
PEM = serialization.Encoding.PEM
Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def named(*subject: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(of, value) for of, value in subject])


JOE = named((NameOID.COMMON_NAME, "joe"))


def signed(subject: x509.Name, by: Signer, begins: timedelta, ends: timedelta, *, is_ca: bool = False) -> Signer:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(by[0].subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    )
    if not is_ca:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return made.sign(by[1], hashes.SHA256()), key


def cluster_s(pki: Pki) -> Signer:
    key = serialization.load_pem_private_key(pki.ca.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate(pki.ca.certificate.read_bytes()), key


def own(subject: x509.Name, begins: timedelta = -HOUR, ends: timedelta = HOUR) -> Callable[[Signer], Sequence[Signer]]:
    return lambda ca: [signed(subject, ca, begins, ends)]


def between(ends: timedelta) -> Callable[[Signer], Sequence[Signer]]:
    def made(ca: Signer) -> Sequence[Signer]:
        signer = signed(named((NameOID.COMMON_NAME, "between")), ca, -2 * HOUR, ends, is_ca=True)
        return [signed(JOE, signer, -HOUR, HOUR), signer]

    return made


async def asked(cluster: Any, directory: Path, chain: Sequence[Signer], headers: dict[str, str]) -> tuple[int, Any]:
    file = directory / "shown.pem"
    key = chain[0][1].private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(b"".join([*(one.public_bytes(PEM) for one, _ in chain), key]))
    tls = ssl.create_default_context(cafile=str(cluster.running.pki.ca.certificate))
    tls.load_cert_chain(file)
    url = f"{cluster.running.url}/apis/authentication.k8s.io/v1/selfsubjectreviews"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
        session.post(url, json={}, headers=headers) as answer,
    ):
        told = await answer.json()
        return answer.status, told.get("status", {}).get("userInfo") if answer.status < 400 else None


@pytest.mark.parametrize(
    ("shown", "status", "groups"),
    [
        pytest.param(own(JOE), 201, ["system:authenticated"], id="one that is good"),
        pytest.param(own(JOE, begins=HOUR, ends=2 * HOUR), 401, None, id="one that has yet to begin"),
        pytest.param(own(JOE, begins=-2 * HOUR, ends=-HOUR), 401, None, id="one that is over"),
        pytest.param(between(HOUR), 201, ["system:authenticated"], id="a CA's below the cluster's"),
        pytest.param(between(-HOUR), 401, None, id="that of a CA which is over"),
        pytest.param(own(named((NameOID.ORGANIZATION_NAME, "dev"))), 401, None, id="one that names nobody"),
        pytest.param(own(named((NameOID.COMMON_NAME, "joe"), (UID, "1"), (UID, "2"))), 401, None, id="of two UIDs"),
        pytest.param(own(named((NameOID.COMMON_NAME, "system:anonymous"))), 403, None, id="nobody's"),
    ],
)
async def test_who_comes_with(cluster: Any, tmp_path: Path, shown: Any, status: int, groups: Any) -> None:
    given, user = await asked(cluster, tmp_path, shown(cluster_s(cluster.running.pki)), {})
    assert (given, user and user["groups"]) == (status, groups)


async def test_a_token_says_who_comes_with_a_certificate_that_does_not(cluster: Any, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {await account_token(cluster)}"}
    late = own(JOE, begins=-2 * HOUR, ends=-HOUR)(cluster_s(cluster.running.pki))
    given, user = await asked(cluster, tmp_path, late, headers)
    assert (given, user["username"]) == (201, "system:serviceaccount:default:robot")
