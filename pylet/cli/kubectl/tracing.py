"""What `-v` tells of requests, in klog's form. Source: client-go `transport/round_trippers.go`, at 6 and at 8."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

_NOTES, _REQUESTS, _HEADERS = 5, 6, 8
_SHOWN = {8: 1024, 9: 10240}
_HIDDEN = {"authorization"}


class Trace:
    """Of one exchange; tells nothing below 6."""

    def __init__(self, verbosity: int, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes | None):
        self._verbosity = verbosity
        self._request = f'verb="{method}" url="{url}"'
        self._began = datetime.now(UTC)
        if verbosity >= _HEADERS:
            self._body("Request Body", body or b"")
            _line(f'"Request" {self._request} {_block(headers)}')

    def answered(self, response: http.client.HTTPResponse) -> None:
        taken = int((datetime.now(UTC) - self._began).total_seconds() * 1000)
        status = f'status="{response.status} {response.reason}"'
        if self._verbosity >= _HEADERS:
            _line(f'"Response" {status} {_block(response.getheaders())} milliseconds={taken}')
        elif self._verbosity >= _REQUESTS:
            _line(f'"Response" {self._request} {status} milliseconds={taken}')

    def told(self, body: bytes) -> None:
        if self._verbosity >= _HEADERS:
            self._body("Response Body", body)

    def _body(self, title: str, body: bytes) -> None:
        text = body.decode(errors="replace")
        most = _SHOWN.get(self._verbosity, len(text))
        left = f" [truncated {len(text) - most} chars]" if len(text) > most else ""
        _line(f'"{title}" body={json.dumps(text[:most] + left)}')


def note(verbosity: int, text: str) -> None:
    if verbosity >= _NOTES:
        _line(f'"{text}"')


def _line(text: str) -> None:
    print(f"I{datetime.now():%m%d %H:%M:%S.%f} {os.getpid():7} http.py] {text}", file=sys.stderr)


def _block(headers: Iterable[tuple[str, str]]) -> str:
    lines = (f"\t{name}: {'***' if name.lower() in _HIDDEN else value}\n" for name, value in sorted(headers))
    return f"headers=<\n{''.join(lines)} >"
