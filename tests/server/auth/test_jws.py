from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pylet.api import base64url
from pylet.server.auth import jws

RSA = rsa.generate_private_key(65537, 2048)
CURVES = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "512": ec.SECP521R1()}
ECDSA = {size: ec.generate_private_key(curve) for size, curve in CURVES.items()}
DIGESTS = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def sign(algorithm: str, claims: Any, *, side: int | None = None) -> str:
    """`side` is how many bytes each half of an ECDSA signature takes."""
    parts = (orjson.dumps({"alg": algorithm}), orjson.dumps(claims))
    head = b".".join(map(base64url.encode, parts))
    family, size = algorithm[:2], algorithm[2:]
    digest = DIGESTS[size]
    if family == "ES":
        halves = decode_dss_signature(ECDSA[size].sign(head, ec.ECDSA(digest)))
        side = side or (CURVES[size].key_size + 7) // 8
        signature = b"".join(half.to_bytes(side) for half in halves)
    elif family == "RS":
        signature = RSA.sign(head, padding.PKCS1v15(), digest)
    else:
        signature = RSA.sign(head, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)
    return (head + b"." + base64url.encode(signature)).decode()


def key_of(algorithm: str) -> Any:
    return (ECDSA[algorithm[2:]] if algorithm.startswith("ES") else RSA).public_key()


@pytest.mark.parametrize("algorithm", jws.ALGORITHMS)
def test_a_signature_is_the_keys_that_made_it(algorithm: str) -> None:
    signed = jws.read(sign(algorithm, {"sub": "anna"}))
    assert (signed.header, signed.claims) == ({"alg": algorithm}, {"sub": "anna"})
    assert jws.is_signed(algorithm, key_of(algorithm), signed)
    assert not jws.is_signed(algorithm, key_of(algorithm), signed._replace(data=signed.data + b"x"))
    other = "RS256" if algorithm != "RS256" else "RS384"
    assert not jws.is_signed(other, key_of(algorithm), signed)


@pytest.mark.parametrize("side", [33, 48])
def test_the_halves_of_a_signature_have_their_size(side: int) -> None:
    assert not jws.is_signed("ES256", key_of("ES256"), jws.read(sign("ES256", {}, side=side)))


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("", "empty document"),
        ("e30.e30", "not enough values"),
        ("e30.e30.e30.e30", "too many values"),
        ("e30.e.e30", "Invalid base64"),
        ("e30.e3+.e30", "illegal base64 data"),
        ("e30.e3.e30", "unexpected end"),
        (sign("RS256", ["no object"]), "header or payload is no object"),
    ],
)
def test_what_is_no_token(token: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        jws.read(token)


def test_a_key_is_read_as_it_is_published() -> None:
    point = ECDSA["384"].public_key().public_numbers()
    x, y = (base64url.encode(side.to_bytes(48)).decode() for side in (point.x, point.y))
    jwk = {"kty": "EC", "crv": "P-384", "x": x, "y": y}
    assert jws.public_key(jwk) == key_of("ES384")
    unreadable: list[dict[str, Any]] = [{}, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA"}]
    for other in [*unreadable, {**jwk, "crv": "P-1"}, {**jwk, "x": y}, {**jwk, "x": 5}]:
        assert jws.public_key(other) is None
