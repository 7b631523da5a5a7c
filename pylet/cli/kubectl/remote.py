"""A command in a container over `v5.channel.k8s.io`: streams, terminal and exit status. Source: KEP-4006."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from pylet.cli.failure import Failure
from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.websocket import Closed, WebSocket

_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE = 0, 1, 2, 3, 4
_CLOSE_CHANNEL = 255
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


def run(api: Api, target: str, *, stdin: bool, tty: bool) -> None:
    """Connects the terminal with the command until that ends. Raises: Failure with its exit status."""
    socket = WebSocket(api, target, _PROTOCOLS)
    with _raw_terminal() if tty else contextlib.nullcontext():
        if tty:
            _follow_size(socket)
        if stdin:
            threading.Thread(target=_feed, args=(socket,), daemon=True).start()
        status = _copy(socket)
    socket.close()
    _finish(status)


def _copy(socket: WebSocket) -> dict[str, Any]:
    """Writes what comes until the stream ends; the Status on the error channel."""
    outputs = {_STDOUT: sys.stdout.buffer, _STDERR: sys.stderr.buffer}
    status: dict[str, Any] = {}
    while True:
        try:
            message = socket.receive()
        except Closed:
            return status
        channel, data = message[:1], message[1:]
        if not channel:
            continue
        if channel[0] == _ERROR:
            status = json.loads(data)
        elif channel[0] in outputs:
            out = outputs[channel[0]]
            out.write(data)
            out.flush()


def _feed(socket: WebSocket) -> None:
    """Sends standard input; its end closes the channel where the protocol can say so."""
    with contextlib.suppress(Closed):
        while data := os.read(0, 32768):
            socket.send(bytes([_STDIN]) + data)
        if socket.protocol == _PROTOCOLS[0]:
            socket.send(bytes([_CLOSE_CHANNEL, _STDIN]))
        else:
            told = "pylet: this node's runtime can't be told that standard input has ended (it lacks v5.channel.k8s.io)"
            print(told, file=sys.stderr)


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


def _follow_size(socket: WebSocket) -> None:
    """Tells the size of the terminal, now and whenever it changes."""

    def tell(*_: Any) -> None:
        size = os.get_terminal_size(0)
        body = json.dumps({"Width": size.columns, "Height": size.lines}).encode()
        with contextlib.suppress(Closed):
            socket.send(bytes([_RESIZE]) + body)

    signal.signal(signal.SIGWINCH, tell)
    tell()
