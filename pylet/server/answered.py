"""What client-go makes of the answer to a call: the object it is, or why it is none.

Pure. Source: client-go rest/request.go (transformResponse, Result), apimachinery pkg/api/errors.
"""

from __future__ import annotations

from collections.abc import Mapping

from pylet.api.causes import quoted
from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.api.wire import decode

_MOST_TEXT = 2048
_WORDS = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


class Refused(Exception):
    """There is no object; the message says why."""


def obj(status: int, content_type: str, raw: bytes) -> Object:
    """Raises: Refused."""
    if not 200 <= status <= 206:
        raise Refused(_refusal(status, content_type, raw))
    if not raw:
        raise Refused(f"0-length response with status code: {status} and content type: {content_type}")
    try:
        return decode.recognized(raw)
    except BadRequest as bad:
        raise Refused(bad.message) from bad


def wait_seconds(status: int, headers: Mapping[str, str]) -> int | None:
    """When to ask again, if whoever answered says so."""
    after = headers.get("Retry-After", "")
    return int(after) if (status == 429 or 500 <= status < 600) and after.isascii() and after.isdigit() else None


def _refusal(status: int, content_type: str, raw: bytes) -> str:
    try:
        told = decode.recognized(raw)
    except BadRequest:
        told = {}
    if told.get("kind") == "Status" and told.get("status") == "Failure":
        return str(told.get("message", ""))
    is_text = not content_type or content_type.startswith("text/")
    text = raw[:_MOST_TEXT].decode(errors="replace").strip() if is_text else "unknown"
    match status:
        case 403 | 415:
            return text
        case 406:
            unable = "the server was unable to respond with a content type that the client supports"
            return unable if text in ("", "unknown") else text
        case _ if status in _WORDS:
            return _WORDS[status]
        case _ if status >= 500:
            return f"an error on the server ({quoted(text)}) has prevented the request from succeeding"
        case _:
            return f"the server responded with the status code {status} but did not return more information"
