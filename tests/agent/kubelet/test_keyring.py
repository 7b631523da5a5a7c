"""Which credentials are tried for an image, and in which order."""

from __future__ import annotations

import base64

import pytest

from pylet.agent.kubelet.keyring import BadDockerConfig, lookup, matches, of_secret, repository

HUB = "https://index.docker.io/v1/"


@pytest.mark.parametrize(
    ("keys", "image", "expected"),
    [
        (["quay.io"], "quay.io/app:1", ["quay.io"]),
        (["quay.io"], "gcr.io/app:1", []),
        (["quay.io", "quay.io/team", "quay.io/other"], "quay.io/team/app", ["quay.io/team", "quay.io"]),
        (["*.example.com"], "a.example.com/app", ["*.example.com"]),
        (["*.example.com"], "a.b.example.com/app", []),
        (["localhost:5000"], "localhost:5000/app@sha256:0", ["localhost:5000"]),
        (["localhost"], "localhost:5000/app", []),
        (["https://r.io/v2/"], "r.io/app", ["https://r.io/v2/"]),
        ([HUB], "busybox", [HUB]),
        ([HUB], "quay.io/busybox", []),
        (["docker.io", HUB], "team/app", ["docker.io"]),
    ],
)
def test_credentials_of_an_image(keys: list[str], image: str, expected: list[str]) -> None:
    config = {key: {"username": key, "password": "p"} for key in keys}
    assert [found.auth.username for found in lookup([(config, None)], image)] == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("team/app:1", "docker.io/team/app"),
        ("index.docker.io/app", "docker.io/library/app"),
        ("localhost:5000/a/b:1@sha256:0", "localhost:5000/a/b"),
        ("localhost/a", "localhost/a"),
    ],
)
def test_an_image_s_name_in_full(image: str, expected: str) -> None:
    assert repository(image) == expected


def test_a_pattern_with_a_path_asks_for_that_path() -> None:
    assert matches("r.io/team", "r.io/team/app")
    assert not matches("r.io/team", "r.io/app")


def secret(name: str, text: str) -> dict[str, object]:
    data = {name: base64.b64encode(text.encode()).decode()}
    return {"metadata": {"name": "s", "namespace": "n", "uid": "u"}, "data": data}


def test_a_pull_secret_of_either_kind() -> None:
    auth = base64.b64encode(b"me:se:cret").decode()
    for name, text in ((".dockerconfigjson", f'{{"auths":{{"r.io":{{"auth":"{auth}"}}}}}}'),
                       (".dockercfg", f'{{"r.io":{{"auth":"{auth}"}}}}')):  # fmt: skip
        (found,) = lookup([of_secret(secret(name, text))], "r.io/app")
        assert (found.auth.username, found.auth.password) == ("me", "se:cret")
        assert found.source is not None
        assert (found.source.kind, found.source.uid) == ("Secret", "u")


def test_what_is_no_docker_configuration_is_not_told() -> None:
    with pytest.raises(BadDockerConfig) as bad:
        of_secret(secret(".dockerconfigjson", '{"auths": "hunter2"}'))
    assert "hunter2" not in str(bad.value)
