"""A thin blocking SPDY/3.1 client: the older way to exec and attach, known to every runtime and able to end stdin.

Only what remote commands need: a stream for each channel, data, its end. Headers are compressed without the protocol's
dictionary, which a receiver must accept (RFC 1950, FDICT); what headers come back is not looked at.
Source: SPDY draft 3.1; apimachinery `pkg/util/httpstream/spdy`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import zlib
from collections.abc import Mapping

from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.upgrade import Closed, Receiver, upgrade

PROTOCOL = "v4.channel.k8s.io"
_CONTROL = 0x80000000
_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN = 1


class Connection:
    """Connected when made. Raises: ApiError for a refusal, ConnectionFailed."""

    def __init__(self, api: Api, target: str, channels: Mapping[int, str]) -> None:
        self._socket = api.connect()
        self._receiver = Receiver(self._socket)
        self._sending = threading.Lock()
        self._compressor = zlib.compressobj()
        lines = ["Upgrade: SPDY/3.1", f"X-Stream-Protocol-Version: {PROTOCOL}", "Content-Length: 0"]
        upgrade(api, "POST", target, lines, self._socket, self._receiver)
        # Streams that a client opens have odd numbers.
        self._streams = {channel: 2 * position + 1 for position, channel in enumerate(channels)}
        self._channels = {stream: channel for channel, stream in self._streams.items()}
        for channel, name in channels.items():
            self._open(self._streams[channel], {"streamtype": name})

    def _open(self, stream: int, headers: Mapping[str, str]) -> None:
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            block += b"".join(struct.pack(">I", len(text)) + text.encode() for text in (name, value))
        packed = self._compressor.compress(block) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        self._control(_SYN_STREAM, 0, struct.pack(">IIBB", stream, 0, 0, 0) + packed)

    def _control(self, type_: int, flags: int, payload: bytes) -> None:
        self._write(struct.pack(">II", _CONTROL | _VERSION << 16 | type_, flags << 24 | len(payload)) + payload)

    def _write(self, data: bytes) -> None:
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError:
            raise Closed from None

    def receive(self) -> tuple[int, bytes]:
        """The next data and its channel. Raises: Closed when the peer has said everything."""
        while self._channels:
            first, second = struct.unpack(">II", self._receiver.take(8))
            payload = self._receiver.take(second & 0xFFFFFF)
            if not first & _CONTROL:
                channel = self._channels.get(first, -1)
                if second >> 24 & _FIN:
                    self._channels.pop(first, None)
                if payload and channel >= 0:
                    return channel, payload
                continue
            match first & 0xFFFF:
                case 3:  # _RST_STREAM
                    self._channels.pop(int.from_bytes(payload[:4], "big"), None)
                case 6:  # _PING
                    self._control(_PING, 0, payload)
                case 7:  # _GOAWAY
                    raise Closed
                case 2 if second >> 24 & _FIN:  # _SYN_REPLY
                    self._channels.pop(int.from_bytes(payload[:4], "big"), None)
        raise Closed

    def send(self, channel: int, data: bytes) -> None:
        """Raises: Closed."""
        self._write(struct.pack(">II", self._streams[channel], len(data)) + data)

    def end(self, channel: int) -> None:
        """No more data comes on this channel. Raises: Closed."""
        self._write(struct.pack(">II", self._streams[channel], _FIN << 24))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
