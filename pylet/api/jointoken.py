"""The token an agent joins with: `K10<SHA-256 of the cluster's CA certificate>::<id>.<secret>`.

The hash pins the server: an agent fetches the CA, compares, and sends the secret only to a server that proved to have
that CA. Hashed is the DER form of the root, the last certificate of a bundle, so that line ends of a copy don't matter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

PREFIX = "K10"
_PIN = re.compile(r"[0-9a-f]{64}")
_BOOTSTRAP = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


class BadToken(ValueError):
    """The token can't be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """`ca_hash` is None when the token pins nothing; `secret` is the bearer token the server knows."""

    secret: str
    ca_hash: str | None

    def __str__(self) -> str:
        return f"{PREFIX}{self.ca_hash}::{self.secret}" if self.ca_hash else self.secret


def parse(text: str) -> JoinToken:
    """Raises: BadToken."""
    text = text.strip()
    if not text:
        raise BadToken("the token is empty: copy it from `pylet token create` on the server")
    if any(character.isspace() for character in text):
        raise BadToken("the token has a space or a line break in it: copy it again, as one word")
    if "::" not in text:
        if text.startswith(PREFIX) and len(text) > len(PREFIX) + 32:
            raise BadToken("the token was cut off after its hash: copy all of it from `pylet token create`")
        return JoinToken(text, None)
    head, secret = text.split("::", 1)
    pin = head.removeprefix(PREFIX)
    if pin == head or not _PIN.fullmatch(pin):
        raise BadToken(
            "the token must begin with K10 and 64 hexadecimal digits: copy it again from `pylet token create`"
        )
    if not secret:
        raise BadToken("the token has no secret behind `::`: copy all of it from `pylet token create`")
    return JoinToken(secret, pin)


def bootstrap_parts(secret: str) -> tuple[str, str] | None:
    """Id and secret of a bootstrap token, None for any other secret."""
    match = _BOOTSTRAP.fullmatch(secret)
    return (match[1], match[2]) if match else None


def ca_hash(pem: bytes) -> str:
    """The pin of a CA certificate or bundle in PEM form. Raises: BadToken when it holds no certificate."""
    return hashlib.sha256(root(pem)).hexdigest()


def root(pem: bytes) -> bytes:
    """What the pin speaks of, in DER form: a bundle's other certificates are nobody's word. Raises: BadToken."""
    blocks = _CERTIFICATE.findall(pem)
    try:
        return base64.b64decode(b"".join(blocks[-1].split()), validate=True)
    except (IndexError, binascii.Error):
        raise BadToken("the cluster's CA is not a PEM certificate") from None
