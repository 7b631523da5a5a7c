"""Header blocks (HPACK, RFC 7541): sent without compression, so that they can be kept; `hpack` decodes what comes."""

from __future__ import annotations

from collections.abc import Iterable

import hpack

_BLOCKS = 32
_LITERAL, _LONG_INDEX = 0x7F, 0xFF


class Undecodable(Exception):
    """The peer's table and ours differ from here on: the connection is of no use."""


class Reader:
    """Decodes the blocks of one connection, every one of them, in their order: they share one table."""

    def __init__(self, most_bytes: int) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=most_bytes)
        self._said: dict[bytes, dict[str, str]] = {}

    def read(self, block: bytes) -> dict[str, str]:
        """Blocks of one-byte indices alone, as nearly all answers' are, say the same until the table changes.

        Raises: Undecodable.
        """
        found = self._said.get(block)
        if found is None:
            try:
                found = {str(name): str(value) for name, value in self._decoder.decode(block)}
            except hpack.HPACKError as bad:
                raise Undecodable(str(bad)) from bad
            if min(block, default=0) <= _LITERAL or _LONG_INDEX in block:
                self._said.clear()
            elif len(self._said) < _BLOCKS:
                self._said[block] = found
        return found


def header_block(fields: Iterable[tuple[str, str]]) -> bytes:
    """Each field as "literal without indexing, new name" (RFC 7541, 6.2.2): blocks can be joined and kept."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    content = text.encode()
    size = len(content)
    if size < 127:
        return bytes((size,)) + content
    head, size = bytearray((127,)), size - 127
    while size >= 128:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + content
