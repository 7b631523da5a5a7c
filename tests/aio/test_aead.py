"""AES-256-GCM: what one implementation seals, the other opens, and nothing that was altered."""

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pylet.aio import aead

KEY, NONCE = os.urandom(32), os.urandom(12)


@pytest.fixture(params=["libcrypto", "cryptography"], autouse=True)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "cryptography":
        monkeypatch.setattr(aead, "_libcrypto", lambda: None)
    elif aead._libcrypto() is None:
        pytest.skip("ssl has its libcrypto inside itself")


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 100_000])
def test_it_is_the_standards(size: int) -> None:
    content = os.urandom(size)
    sealed = AESGCM(KEY).encrypt(NONCE, content, b"name")
    assert aead.seal(KEY, NONCE, content, b"name") == sealed
    assert aead.open_(KEY, NONCE, sealed, b"name") == content


@pytest.mark.parametrize(
    "opened",
    [
        pytest.param(lambda sealed: (KEY, NONCE, sealed, b"other"), id="another name"),
        pytest.param(lambda sealed: (os.urandom(32), NONCE, sealed, b"name"), id="another key"),
        pytest.param(lambda sealed: (KEY, os.urandom(12), sealed, b"name"), id="another nonce"),
        pytest.param(lambda sealed: (KEY, NONCE, sealed[:-1], b"name"), id="cut off"),
        pytest.param(lambda sealed: (KEY, NONCE, b"!" + sealed[1:], b"name"), id="another first byte"),
        pytest.param(lambda sealed: (KEY, NONCE, sealed[:-1] + bytes((sealed[-1] ^ 1,)), b"name"), id="another tag"),
        pytest.param(lambda sealed: (KEY, NONCE, b"", b"name"), id="nothing"),
        pytest.param(lambda sealed: (KEY, b"", b"", b"name"), id="not even a nonce"),
    ],
)
def test_what_was_altered_is_not_opened(opened: object) -> None:
    sealed = aead.seal(KEY, NONCE, b"content", b"name")
    with pytest.raises(aead.Altered):
        aead.open_(*opened(sealed))  # type: ignore[operator]
