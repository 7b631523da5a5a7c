"""The join token's form, and what a bad one is told."""

import hashlib
import ssl

import pytest

from pylet.api import jointoken

PIN = "ab" * 32


def test_a_token_survives_its_text() -> None:
    token = jointoken.JoinToken("abcdef.0123456789abcdef", PIN)
    assert str(token) == f"K10{PIN}::abcdef.0123456789abcdef"
    assert jointoken.parse(f" {token}\n") == token
    assert jointoken.bootstrap_parts(token.secret) == ("abcdef", "0123456789abcdef")


def test_a_bare_secret_pins_nothing() -> None:
    assert jointoken.parse("hunter2") == jointoken.JoinToken("hunter2", None)
    assert jointoken.bootstrap_parts("hunter2") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("K10ab cd::x", "a space or a line break"),
        (f"K10{PIN}", "cut off after its hash"),
        (f"K10{PIN[:-1]}::x", "64 hexadecimal digits"),
        (f"K11{PIN}::x", "must begin with K10"),
        (f"K10{PIN}::", "no secret behind"),
    ],
)
def test_a_bad_token_says_what_to_do(text: str, says: str) -> None:
    with pytest.raises(jointoken.BadToken, match=says) as error:
        jointoken.parse(text)
    assert "copy" in str(error.value)


def test_the_pin_is_the_hash_of_the_root_and_does_not_see_line_ends() -> None:
    leaf, root = ssl.DER_cert_to_PEM_cert(b"leaf"), ssl.DER_cert_to_PEM_cert(b"root" * 30)
    pin = hashlib.sha256(b"root" * 30).hexdigest()
    assert jointoken.ca_hash((leaf + root).encode()) == pin
    assert jointoken.ca_hash(root.replace("\n", "\r\n").encode()) == pin
    with pytest.raises(jointoken.BadToken):
        jointoken.ca_hash(b"no certificate")
