"""Which names of images are none, in upstream's words."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.image_names import flaw, with_tag

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", ""),
        ("busybox:1.37", ""),
        ("localhost/app", ""),
        ("registry.example:5000/team/app_one--two:v1", ""),
        ("[::1]:5000/app", ""),
        (f"app@sha256:{HEX}", ""),
        (f"app:v1@sha512:{HEX}{HEX}", ""),
        ("HOST/app", ""),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"),
        ("host.example/Team/app:1", "invalid reference format: repository name (Team/app) must be lowercase"),
        ("index.docker.io/App", "invalid reference format: repository name (library/App) must be lowercase"),
        ("busy box", "invalid reference format"),
        ("app:", "invalid reference format"),
        ("app@sha256:abc", "invalid reference format"),
        ("http://host.example/app", "invalid reference format"),
        ("", "invalid reference format"),
        (f"host.example/{'a' * 256}", "repository name must not be more than 255 characters"),
        (f"app@sha256:{HEX[:40]}", "invalid checksum digest length"),
        (f"app@sha256:{HEX.upper()}", "invalid checksum digest format"),
        (f"app@md5:{HEX[:32]}", "unsupported digest algorithm"),
    ],
)
def test_what_is_no_name(image: str, expected: str) -> None:
    assert flaw(image) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("app", "app:latest"),
        ("host.example:5000/app", "host.example:5000/app:latest"),
        ("app:1", "app:1"),
        ("app@sha256:0", "app@sha256:0"),
    ],
)
def test_the_tag_a_name_means(image: str, expected: str) -> None:
    assert with_tag(image) == expected
