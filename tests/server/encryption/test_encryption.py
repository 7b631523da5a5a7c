"""Secrets at rest: what is sealed, what opens it, and that no file of a server says what a Secret says."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pylet.server.config import ServerConfig
from pylet.server.encryption.ciphers import CIPHERS, Unreadable
from pylet.server.encryption.configuration import BadConfiguration, Rules, read
from pylet.server.encryption.store import EncryptedStore
from pylet.server.pki import Pki
from pylet.server.place import Unusable
from pylet.server.run import Running
from pylet.store import open_store
from pylet.store.interface import Put, Store, StoreError
from tests.server.conftest import Cluster, running_server, session

SECRET = "/registry/core/secrets/a/s"
CONFIG_MAP = "/registry/core/configmaps/a/c"
KEY, OTHER = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))
IDENTITY: dict[str, Any] = {"identity": {}}


def provider(name: str = "aesgcm", **keys: str) -> dict[str, Any]:
    return {name: {"keys": [{"name": key, "secret": secret} for key, secret in keys.items()]}}


def document(*lists: tuple[list[str], list[dict[str, Any]]]) -> dict[str, Any]:
    found = [{"resources": names, "providers": providers} for names, providers in lists]
    return {"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "resources": found}


def rules(*providers: dict[str, Any]) -> Rules:
    return read(document((["secrets"], list(providers))))


@pytest.mark.parametrize("name", CIPHERS)
def test_a_value_is_opened_by_the_key_that_sealed_it(name: str) -> None:
    cipher, other = CIPHERS[name](b"1" * 32), CIPHERS[name](b"2" * 32)
    sealed = cipher.seal(b'{"plain":1}', b"/a")
    assert b"plain" not in sealed
    assert sealed != cipher.seal(b'{"plain":1}', b"/a")
    assert cipher.open(sealed, b"/a") == b'{"plain":1}'
    if name == "aesgcm":
        for bad in (lambda: other.open(sealed, b"/a"), lambda: cipher.open(sealed, b"/b")):
            with pytest.raises(Unreadable):
                bad()
    with pytest.raises(Unreadable):
        cipher.open(sealed[:7], b"/a")


@pytest.mark.parametrize(
    ("patterns", "place", "concerned"),
    [
        (["secrets"], SECRET, True),
        (["secrets"], CONFIG_MAP, False),
        (["deployments.apps"], "/registry/apps/deployments/a/d", True),
        (["deployments"], "/registry/apps/deployments/a/d", False),
        (["*.apps"], "/registry/apps/deployments/a/d", True),
        (["*.apps"], SECRET, False),
        (["*."], SECRET, True),
        (["*."], "/registry/apps/deployments/a/d", False),
        (["*.*"], "/registry/stable.example.com/crontabs/a/d", True),
    ],
)
def test_patterns_name_resources(patterns: list[str], place: str, concerned: bool) -> None:
    found = read(document((patterns, [provider(one=KEY)]))).keys_of(place)
    assert (found is not None) is concerned


def test_the_first_list_that_names_a_resource_decides() -> None:
    found = read(document((["configmaps"], [IDENTITY]), (["*.*"], [provider(one=KEY)])))
    kept = found.keys_of(CONFIG_MAP)
    assert kept is not None
    assert kept.seal(b"{}", CONFIG_MAP) == b"{}"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({}, "not a EncryptionConfiguration"),
        (document(), "at least one list"),
        (document(([], [IDENTITY])), "resources[0].resources"),
        ({**document(), "resources": [["secrets"]]}, "resources[0]: is no list"),
        (document((["secrets"], [])), "resources[0].providers: at least one"),
        (document((["secrets"], [{"kms": {}}])), "resources[0].providers[0].kms"),
        (document((["secrets"], [{"aesgcm": {"keys": []}}])), "keys: at least one key"),
        (document((["secrets"], [provider(one="%")])), "secret: secrets must be base64"),
        (document((["secrets"], [provider(one="YQ==")])), "secret: is 1 bytes long"),
    ],
)
def test_a_bad_configuration_is_refused_with_its_place(bad: Any, why: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        read(bad)
    assert why in str(refused.value)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_store("memory://") as opened:
        yield opened


async def test_what_is_below_is_sealed_and_what_is_above_is_not(store: Store) -> None:
    encrypted = EncryptedStore(store, rules(provider(one=KEY)))
    revision = await encrypted.create(SECRET, b"plain")
    await encrypted.create(CONFIG_MAP, b"open")
    await encrypted.update(SECRET, b"plain2", expect=revision)
    below = await store.get(SECRET)
    above = await encrypted.get(SECRET)
    assert below is not None
    assert below.value.startswith(b"k8s:enc:aesgcm:v1:one:")
    assert above is not None
    assert above.value == b"plain2"
    assert [one.value for one in (await encrypted.scan("/registry/")).records] == [b"open", b"plain2"]
    seen: list[bytes] = []
    async for events in encrypted.watch("/registry/", since=0):
        seen += [event.value for event in events if isinstance(event, Put)]
        if len(seen) >= 3:
            break
    assert seen == [b"plain", b"open", b"plain2"]


async def test_rewriting_seals_what_the_first_key_did_not(store: Store) -> None:
    await store.create(SECRET, b"plain")
    encrypted = EncryptedStore(store, rules(provider(one=KEY), IDENTITY))
    assert await encrypted.rewrite("/registry/") == 1
    assert await encrypted.rewrite("/registry/") == 0
    encrypted.rules = rules(provider(two=OTHER), provider(one=KEY))
    assert await encrypted.rewrite("/registry/") == 1
    encrypted.rules = rules(provider(two=OTHER))
    found = await encrypted.get(SECRET)
    assert found is not None
    assert found.value == b"plain"
    encrypted.rules = rules(provider(one=KEY))
    with pytest.raises(StoreError, match="cannot decrypt"):
        await encrypted.get(SECRET)


WORD = "not-to-be-found"


async def _with(settled: ServerConfig, use: Callable[[Cluster], Any]) -> None:
    async with running_server(settled) as running, _session(running) as admin:
        await use(Cluster(running, admin, admin))


def _session(running: Running) -> Any:
    return session(Pki(running.pki.directory), certificate=True)


def _on_disk(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in (directory / "server").glob("db.sqlite*"))


async def test_a_server_without_the_keys_says_what_it_needs(
    tmp_path: Path, make_config: Callable[..., ServerConfig]
) -> None:
    (tmp_path / "server").mkdir()
    settled = make_config(datastore_endpoint=None)
    async with open_store(f"sqlite://{tmp_path}/server/db.sqlite") as kept:
        await EncryptedStore(kept, rules(provider(one=KEY))).create(SECRET, b"plain")
    with pytest.raises(ExceptionGroup) as group:
        async with running_server(settled):
            pass
    assert group.group_contains(Unusable, match="give the --encryption-provider-config")


async def test_no_file_of_the_database_says_what_a_secret_says(
    tmp_path: Path, make_config: Callable[..., ServerConfig]
) -> None:
    path, action = "/api/v1/namespaces/default/secrets", "/pylet/v1/secrets-encryption"
    word = base64.b64encode(WORD.encode())

    async def create(cluster: Cluster) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"word": WORD}}
        assert (await cluster.ask("POST", path, body)).status == 201
        assert word in _on_disk(tmp_path)
        assert (await cluster.ask("GET", action)).status == 400

    async def encrypted(cluster: Cluster) -> None:
        assert word not in _on_disk(tmp_path)
        first = (await cluster.ask("GET", action)).json
        assert first["enabled"]
        rotated = (await cluster.ask("POST", f"{action}?action=rotate-keys")).json
        assert rotated["written"] == 1
        assert rotated["active"] != first["active"]
        assert len(rotated["keys"]) == 1
        assert rotated["active"].encode() in _on_disk(tmp_path)
        assert first["active"].encode() not in _on_disk(tmp_path)
        assert (await cluster.ask("GET", f"{path}/s")).json["data"]["word"].encode() == word
        assert (await cluster.ask("GET", action, anonymous=True)).status in (200, 403)

    async def again(cluster: Cluster) -> None:
        assert (await cluster.ask("GET", f"{path}/s")).json["data"]["word"].encode() == word
        assert (await cluster.ask("POST", f"{action}?action=disable")).json["enabled"] is False
        assert word in _on_disk(tmp_path)
        assert (await cluster.ask("POST", f"{action}?action=rotate-keys")).status == 400
        assert (await cluster.ask("POST", f"{action}?action=enable")).json["written"] == 1
        assert word not in _on_disk(tmp_path)

    await _with(make_config(datastore_endpoint=None), create)
    await _with(make_config(datastore_endpoint=None, secrets_encryption=True), encrypted)
    await _with(make_config(datastore_endpoint=None), again)
