"""JSON Web Signatures in their compact form, and the keys that they are checked with.

Source: RFC 7515, 7517, 7518; go-jose `asymmetric.go`, for what it makes of sizes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from pylet.api import base64url
from pylet.api.object import Object

_HASHES = {"256": "SHA256", "384": "SHA384", "512": "SHA512"}
_SIDES = {"256": 32, "384": 48, "512": 66}  # bytes of each half of an ECDSA signature
_CURVES = {"P-256": "SECP256R1", "P-384": "SECP384R1", "P-521": "SECP521R1"}
ALGORITHMS = tuple(f"{family}{size}" for family in ("RS", "ES", "PS") for size in _HASHES)


class Signed(NamedTuple):
    """A JWS whose payload is an object; nothing is verified yet. `data` is what was signed."""

    header: Object
    claims: Object
    data: bytes
    signature: bytes


def read(token: str) -> Signed:
    """Raises: ValueError."""
    head, _, signature = token.rpartition(".")
    header, claims = (orjson.loads(base64url.decode(part)) for part in head.split("."))
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("header or payload is no object")
    return Signed(header, claims, head.encode(), base64url.decode(signature))


def is_signed(algorithm: str, key: Any, signed: Signed) -> bool:
    """Whether the signature, by one of ALGORITHMS, is the key's."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    size, signature, data = algorithm[2:], signed.signature, signed.data
    digest = getattr(hashes, _HASHES[size])()
    try:
        match algorithm[:2]:
            case "RS" if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, data, padding.PKCS1v15(), digest)
            case "PS" if isinstance(key, rsa.RSAPublicKey):
                padded = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
                key.verify(signature, data, padded, digest)
            case "ES" if isinstance(key, ec.EllipticCurvePublicKey) and len(signature) == 2 * _SIDES[size]:
                r, s = (int.from_bytes(half) for half in (signature[: _SIDES[size]], signature[_SIDES[size] :]))
                key.verify(encode_dss_signature(r, s), data, ec.ECDSA(digest))
            case _:
                return False
    except (InvalidSignature, ValueError):
        return False
    return True


def public_key(jwk: Object) -> Any:
    """A key as RFC 7517 writes it; None for one of an unknown type."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        match jwk.get("kty"):
            case "RSA":
                return rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
            case "EC":
                curve = getattr(ec, _CURVES[jwk["crv"]])()
                return ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), curve).public_key()
    except (KeyError, TypeError, ValueError):
        return None
    return None


def _number(text: str) -> int:
    return int.from_bytes(base64url.decode(text))
