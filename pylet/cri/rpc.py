"""gRPC's words over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): messages, heads, outcomes. No I/O."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from urllib.parse import quote, unquote

from pylet.cri.headerblock import header_block

MAX_MESSAGE_BYTES = 16 << 20

_CODES = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)
_OF_HTTP = {
    "400": "Internal",
    "401": "Unauthenticated",
    "403": "PermissionDenied",
    "404": "Unimplemented",
    "429": "Unavailable",
    "502": "Unavailable",
    "503": "Unavailable",
    "504": "Unavailable",
}
_PREFIX = struct.Struct(">BI")
PREFIX_BYTES = _PREFIX.size
_DETAILS_CHARACTERS = 1024
_CALL = header_block(
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "grpc-python-pylet"),
    ]
)
ANSWER = header_block([(":status", "200"), ("content-type", "application/grpc")])


class CallError(Exception):
    """A call failed; the text reads as upstream shows it ("rpc error: code = …")."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {details}")
        self.code = code
        self.details = details

    @property
    def is_final(self) -> bool:
        """The service has refused; after any other failure nobody knows whether it did what it was asked."""
        return self.code not in ("Canceled", "DeadlineExceeded", "Unavailable", "ResourceExhausted", "Aborted")


def head(path: str, seconds: float | None, metadata: Mapping[str, str]) -> bytes:
    """Of a call to `/package.Service/Method`; pseudo-headers come first."""
    fields = [(":path", path)]
    limit = [] if seconds is None else [("grpc-timeout", _timeout(seconds))]
    return header_block(fields) + _CALL + header_block([*limit, *metadata.items()])


def _timeout(seconds: float) -> str:
    """In eight digits: whoever gets more refuses the call."""
    milliseconds = max(1, round(seconds * 1000))
    return f"{milliseconds}m" if milliseconds < 10**8 else f"{min(round(seconds), 10**8 - 1)}S"


def framed(message: bytes) -> bytes:
    return _PREFIX.pack(0, len(message)) + message


class Messages:
    """What arrived of a stream, message by message."""

    def __init__(self) -> None:
        self._arrived = bytearray()

    def add(self, content: bytes) -> None:
        self._arrived += content

    def next(self) -> bytes | None:
        """None while it is not whole. Raises: CallError."""
        if len(self._arrived) < PREFIX_BYTES:
            return None
        is_compressed, size = _PREFIX.unpack_from(self._arrived)
        if is_compressed:
            raise CallError("Internal", "grpc: compressed flag set with identity or empty encoding")
        if size > MAX_MESSAGE_BYTES:
            why = f"grpc: received message larger than max ({size} vs. {MAX_MESSAGE_BYTES})"
            raise CallError("ResourceExhausted", why)
        end = PREFIX_BYTES + size
        if len(self._arrived) < end:
            return None
        message = bytes(memoryview(self._arrived)[PREFIX_BYTES:end])
        del self._arrived[:end]
        return message


def failure(fields: Mapping[str, str]) -> CallError | None:
    """How a stream ended whose last headers are these; None where all went well."""
    status = fields.get("grpc-status")
    if status is None:
        http = fields.get(":status", "")
        if http == "200" or not http:
            return CallError("Internal", "server closed the stream without sending trailers")
        why = f"unexpected HTTP status code received from server: {http}"
        return CallError(_OF_HTTP.get(http, "Unknown"), why)
    number = int(status) if status.isdecimal() else 2
    if number == 0:
        return None
    code = _CODES[number] if number < len(_CODES) else f"Code({number})"
    return CallError(code, unquote(fields.get("grpc-message", "")))


def trailers(code: str = "OK", details: str = "") -> bytes:
    fields = [("grpc-status", str(_CODES.index(code)))]
    if details:
        fields.append(("grpc-message", quote(details[:_DETAILS_CHARACTERS], safe=" !#$&'()*+,/:;<=>?@[]^`{|}\"")))
    return header_block(fields)
