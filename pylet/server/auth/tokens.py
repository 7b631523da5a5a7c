"""ServiceAccount tokens: signed, verified once, and believed as long as what they are bound to exists.

ES256 with the cluster's own key. A verified token is remembered by its digest, because verifying costs 0.1 ms and a
pod's client sends the same token for an hour; what it is bound to is looked up on every use.
A Secret's token (`legacy`) never expires and is believed as long as the Secret holds it.
Sources: pkg/serviceaccount/{claims,legacy,jwt,openidmetadata}.go.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from pylet.aio.certificate import Pair
from pylet.api import base64url
from pylet.api.object import Key, Object, uid_of
from pylet.server.auth import jws

_REMEMBERED = 4096
_LEEWAY_SECONDS = 60  # clocks differ
_LEGACY_ISSUER = "kubernetes/serviceaccount"
_LEGACY = "kubernetes.io/serviceaccount/"
_ALGORITHM = "ES256"
_SIDE = 32  # bytes of each half of a P-256 signature


class BadToken(ValueError):
    """A token that proves nothing; the message says why, for TokenReview: "" for a token that is none of ours."""

    @property
    def told(self) -> str:
        """As a TokenReview words it."""
        return f"[invalid bearer token, {self}]" if str(self) else "invalid bearer token"


class Bound(NamedTuple):
    """What a token dies with, besides its ServiceAccount: a Pod, Secret or Node."""

    kind: str
    name: str
    uid: str


class Identity(NamedTuple):
    """What a verified token says. `secret` names the Secret that holds a legacy token, "" for others."""

    account: Key
    uid: str
    audiences: tuple[str, ...]
    bound: tuple[Bound, ...]
    begins: float
    expires: float
    id: str
    secret: str = ""
    warn_after: float = 0


class Tokens:
    def __init__(self, keys: Pair, issuer: str, now: Callable[[], datetime]) -> None:
        self.issuer = issuer
        self._keys = keys
        self._now = now
        self._verified: OrderedDict[bytes, Identity] = OrderedDict()

    def mint(
        self,
        account: Object,
        audiences: Sequence[str],
        seconds: int,
        bound: Object | None = None,
        node: Object | None = None,
        warn_seconds: int = 0,
    ) -> tuple[str, str]:
        """A token for a ServiceAccount, and its id. `node` is the one a bound Pod runs on; a token used later than
        after `warn_seconds` is noted in the audit log."""
        now = int(self._now().timestamp())
        namespace = account["metadata"]["namespace"]
        private: Object = {"namespace": namespace, "serviceaccount": _named(account)}
        if bound is not None:
            private[bound["kind"].lower()] = _named(bound)
        if node is not None:
            private["node"] = _named(node)
        if warn_seconds:
            private["warnafter"] = now + warn_seconds
        id_ = str(uuid.uuid4())
        claims: Object = {
            "aud": list(audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": self.issuer,
            "jti": id_,
            "kubernetes.io": private,
            "nbf": now,
            "sub": _subject(account),
        }
        return self._signed(claims), id_

    def legacy(self, account: Object, secret: str) -> str:
        """The token a Secret of type service-account-token holds."""
        meta = account["metadata"]
        claims: Object = {
            "iss": _LEGACY_ISSUER,
            f"{_LEGACY}namespace": meta["namespace"],
            f"{_LEGACY}secret.name": secret,
            f"{_LEGACY}service-account.name": meta["name"],
            f"{_LEGACY}service-account.uid": uid_of(account),
            "sub": _subject(account),
        }
        return self._signed(claims)

    def _signed(self, claims: Object) -> str:
        header = {"alg": _ALGORITHM, "kid": self.key_id}
        head = base64url.encode(orjson.dumps(header)) + b"." + base64url.encode(orjson.dumps(claims))
        return (head + b"." + base64url.encode(self._sign(head))).decode()

    def verify(self, token: str) -> Identity:
        """Raises: BadToken."""
        digest = hashlib.sha256(token.encode()).digest()
        found = self._verified.get(digest)
        if found is None:
            found = self._verified[digest] = self._read(token)
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
        now = self._now().timestamp()
        if found.expires + _LEEWAY_SECONDS < now:
            raise BadToken("service account token has expired")
        if found.begins - _LEEWAY_SECONDS > now:
            raise BadToken("service account token is not valid yet")
        return found

    def jwks(self) -> Object:
        """The public key as RFC 7517 has it."""
        numbers = self._public.public_numbers()
        x, y = (base64url.encode(part.to_bytes(_SIDE, "big")).decode() for part in (numbers.x, numbers.y))
        return {
            "keys": [
                {"use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": _ALGORITHM, "x": x, "y": y},
            ]
        }

    @cached_property
    def key_id(self) -> str:
        """As upstream derives it: the digest of the public key's DER form."""
        from cryptography.hazmat.primitives import serialization

        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64url.encode(hashlib.sha256(der).digest()).decode()

    @cached_property
    def _public(self) -> Any:
        return self._private.public_key()

    @cached_property
    def _private(self) -> Any:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        return load_pem_private_key(self._keys.key.read_bytes(), None)

    def _sign(self, data: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        r, s = decode_dss_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_SIDE, "big") + s.to_bytes(_SIDE, "big")

    def _read(self, token: str) -> Identity:
        try:
            signed = jws.read(token)
        except ValueError as bad:
            raise BadToken from bad
        payload = signed.claims
        if signed.header.get("alg") != _ALGORITHM or payload.get("iss") not in (self.issuer, _LEGACY_ISSUER):
            raise BadToken
        if not jws.is_signed(_ALGORITHM, self._public, signed):
            raise BadToken
        if payload["iss"] == _LEGACY_ISSUER:
            return _legacy(payload)
        private = payload.get("kubernetes.io") or {}
        account = private.get("serviceaccount") or {}
        bound = tuple(
            Bound(kind, private[kind]["name"], private[kind].get("uid", ""))
            for kind in ("pod", "secret", "node")
            if kind in private
        )
        key = Key(private.get("namespace", ""), account.get("name", ""))
        audiences = tuple(payload.get("aud") or ())
        return Identity(
            key,
            account.get("uid", ""),
            audiences,
            bound,
            float(payload.get("nbf", 0)),
            float(payload["exp"]),
            payload.get("jti", ""),
            warn_after=float(private.get("warnafter", 0)),
        )


def _legacy(payload: Object) -> Identity:
    """Raises: BadToken."""
    names = ("namespace", "secret.name", "service-account.name", "service-account.uid")
    namespace, secret, name, uid = (payload.get(_LEGACY + claim) or "" for claim in names)
    if not (namespace and secret and name and uid) or payload.get("sub") != f"system:serviceaccount:{namespace}:{name}":
        raise BadToken("sub claim is invalid")
    return Identity(Key(namespace, name), uid, (), (), 0, float("inf"), "", secret)


def _named(obj: Object) -> Object:
    """A node that is gone is known by its name alone."""
    name, uid = obj["metadata"]["name"], obj["metadata"].get("uid")
    return {"name": name, "uid": uid} if uid else {"name": name}


def _subject(account: Object) -> str:
    return f"system:serviceaccount:{account['metadata']['namespace']}:{account['metadata']['name']}"
