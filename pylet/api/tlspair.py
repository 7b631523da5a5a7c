"""What Go's `tls.X509KeyPair` says of a certificate and a key that are none. Source: crypto/tls tls.go.

Whether they belong to each other is not judged: that takes a library of its own in memory.
"""

from __future__ import annotations

import re

_BLOCK = re.compile(rb"-----BEGIN ([^\n-]+)-----\r?\n[A-Za-z0-9+/=\r\n]*-----END \1-----")


def problem(certificate: bytes, key: bytes) -> str:
    """ "" where none is seen."""
    types = _types(certificate)
    if "CERTIFICATE" not in types:
        if not types:
            return "tls: failed to find any PEM data in certificate input"
        if len(types) == 1 and types[0].endswith("PRIVATE KEY"):
            return (
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; "
                "PEM inputs may have been switched"
            )
        return f'tls: failed to find "CERTIFICATE" PEM block in certificate input {_skipping(types)}'
    types = _types(key)
    if any(type_ == "PRIVATE KEY" or type_.endswith(" PRIVATE KEY") for type_ in types):
        return ""
    if not types:
        return "tls: failed to find any PEM data in key input"
    if types == ["CERTIFICATE"]:
        return "tls: found a certificate rather than a key in the PEM for the private key"
    return f'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input {_skipping(types)}'


def _types(text: bytes) -> list[str]:
    return [match[1].decode(errors="replace") for match in _BLOCK.finditer(text)]


def _skipping(types: list[str]) -> str:
    return f"after skipping PEM blocks of the following types: [{' '.join(types)}]"
