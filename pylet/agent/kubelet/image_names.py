"""What an image's name must look like. Pure.

Source: `github.com/distribution/reference` (ParseNormalizedNamed), by which the kubelet reads names.
"""

from __future__ import annotations

import re

_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_PART}(?:\.{_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?:{_DOMAIN}/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)(?::{_TAG})?(?:@(?P<digest>{_DIGEST}))?"
)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_MOST_PATH = 255


def with_tag(image: str) -> str:
    """The reference with the tag it means: `latest` where it has neither tag nor digest."""
    return image if "@" in image or ":" in image.rsplit("/", 1)[-1] else f"{image}:latest"


def flaw(image: str) -> str:
    """Why it is no name; "" where it is one."""
    if _IDENTIFIER.fullmatch(image):
        return f"invalid repository name ({image}), cannot specify 64-byte hexadecimal strings"
    domain, rest = _split(image)
    repository = rest.partition(":")[0]
    if repository.lower() != repository:
        return f"invalid reference format: repository name ({repository}) must be lowercase"
    whole = f"{domain}/{rest}"
    found = _REFERENCE.fullmatch(whole)
    if found is None:
        upper = _REFERENCE.fullmatch(whole.lower())
        return "repository name must be lowercase" if upper else "invalid reference format"
    if len(found["path"]) > _MOST_PATH:
        return f"repository name must not be more than {_MOST_PATH} characters"
    return _digest_flaw(found["digest"]) if found["digest"] else ""


def _split(image: str) -> tuple[str, str]:
    """Domain and the rest, of Docker's own where it has none."""
    first, slash, rest = image.partition("/")
    if first == "index.docker.io":
        first = "docker.io"
    if not slash or not (first == "localhost" or "." in first or ":" in first or first.lower() != first):
        first, rest = "docker.io", image
    return first, rest if first != "docker.io" or "/" in rest else f"library/{rest}"


def _digest_flaw(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    if algorithm not in _DIGITS:
        return "unsupported digest algorithm"
    if len(encoded) != _DIGITS[algorithm]:
        return "invalid checksum digest length"
    return "" if encoded == encoded.lower() else "invalid checksum digest format"
