"""A command in a container over `v5.channel.k8s.io`: streams, terminal and exit status. Source: KEP-4006."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any

from pylet.cli.failure import Failure
from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.upgrade import Closed
from pylet.cli.kubectl.websocket import WebSocket

_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE = 0, 1, 2, 3, 4
_CLOSE_CHANNEL = 255


class _Channels:
    """One connection with a channel for each stream. Connected when made. Raises: ApiError, ConnectionFailed."""

    def __init__(self, api: Api, target: str) -> None:
        self._socket = WebSocket(api, target, ("v5.channel.k8s.io",))
        self.close = self._socket.close

    def receive(self) -> tuple[int, bytes]:
        while not (message := self._socket.receive()):
            pass
        return message[0], message[1:]

    def send(self, channel: int, data: bytes) -> None:
        self._socket.send(bytes([channel]) + data)

    def end(self, channel: int) -> None:
        self._socket.send(bytes([_CLOSE_CHANNEL, channel]))


def run(api: Api, target: str, *, stdin: bool, tty: bool) -> None:
    """Connects the terminal with the command until that ends. Raises: Failure with its exit status."""
    channels = _Channels(api, target)
    with _raw_terminal() if tty else contextlib.nullcontext():
        if tty:
            _follow_size(channels)
        if stdin:
            threading.Thread(target=_feed, args=(channels,), daemon=True).start()
        status = _copy(channels, {_STDOUT: sys.stdout.buffer, _STDERR: sys.stderr.buffer})
    channels.close()
    _finish(status)


def exchange(api: Api, target: str, data: bytes | None) -> bytes:
    """What a command answers on standard output to `data`, None for no input. Raises: Failure with its exit status."""
    channels = _Channels(api, target)
    if data is not None:
        threading.Thread(target=_send, args=(channels, data), daemon=True).start()
    out = io.BytesIO()
    status = _copy(channels, {_STDOUT: out, _STDERR: sys.stderr.buffer})
    channels.close()
    _finish(status)
    return out.getvalue()


def _send(channels: _Channels, data: bytes) -> None:
    with contextlib.suppress(Closed):
        for start in range(0, len(data), 32768):
            channels.send(_STDIN, data[start : start + 32768])
        channels.end(_STDIN)


def _copy(channels: _Channels, outputs: Mapping[int, IO[bytes]]) -> dict[str, Any]:
    """Writes what comes until the stream ends; the Status on the error channel."""
    status: dict[str, Any] = {}
    with contextlib.suppress(Closed):
        while True:
            channel, data = channels.receive()
            if channel == _ERROR and data:
                status = json.loads(data)
            elif channel in outputs:
                outputs[channel].write(data)
                outputs[channel].flush()
    return status


def _feed(channels: _Channels) -> None:
    """Sends standard input and its end."""
    with contextlib.suppress(Closed):
        while data := os.read(0, 32768):
            channels.send(_STDIN, data)
        channels.end(_STDIN)


def _finish(status: dict[str, Any]) -> None:
    if not status or status.get("status") == "Success":
        return
    causes = (status.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") == "ExitCode":
            code = int(cause["message"])
            raise Failure(f"command terminated with exit code {code}", code)
    message = status.get("message", "")
    if status.get("reason") == "InternalError":
        raise Failure(
            f"error: Internal error occurred: {message}".replace("Internal error occurred: Internal", "Internal")
        )
    raise Failure(f"error: {message}")


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _follow_size(channels: _Channels) -> None:
    """Tells the size of the terminal, now and whenever it changes."""

    def tell(*_: Any) -> None:
        size = os.get_terminal_size(0)
        body = json.dumps({"Width": size.columns, "Height": size.lines}).encode()
        with contextlib.suppress(Closed):
            channels.send(_RESIZE, body)

    signal.signal(signal.SIGWINCH, tell)
    tell()
