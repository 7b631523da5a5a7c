"""`kubectl port-forward`: local ports onto a pod's, one WebSocket per connection. Source: cmd/portforward."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
import time
from typing import Any

from pylet.api.ip import in_url
from pylet.api.object import Object, dig
from pylet.cli.failure import Failure
from pylet.cli.kubectl import pods
from pylet.cli.kubectl.command import KubectlCommand, arguments, many, text
from pylet.cli.kubectl.errors import HANDLED, misused, text_of
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.upgrade import Closed
from pylet.cli.kubectl.websocket import WebSocket

_DATA, _ERROR = 0, 1
_PORT_BYTES = 2  # the first message of each channel repeats the port


def _pair(word: str) -> tuple[int, str]:
    """Local port (0 for any) and remote port, a number or a name. Raises: Failure."""
    local, colon, remote = word.partition(":")
    remote = remote if colon else local
    local = local if local.isdigit() else "0"
    if not remote or (local and int(local) > 65535):
        raise Failure(f"error: invalid port format '{word}'")
    return int(local or 0), remote


def _pod_port(obj: Object, pod: Object, port: str) -> int:
    """The pod's port behind a service's port or a name. Raises: Failure."""
    if obj.get("kind") == "Service":
        for entry in obj["spec"].get("ports") or ():
            if port in (str(entry["port"]), entry.get("name")):
                port = str(entry.get("targetPort", entry["port"])) if obj["spec"].get("clusterIP") != "None" else port
                break
        else:
            raise Failure(f"error: Service {obj['metadata']['name']} does not have a service port {port}")
    if port.isdigit():
        return int(port)
    for container in pod["spec"]["containers"]:
        for entry in container.get("ports") or ():
            if entry.get("name") == port:
                return int(entry["containerPort"])
    raise Failure(f"error: Pod '{pod['metadata']['name']}' does not have a named port '{port}'")


class _Forward:
    def __init__(self, session: Session, pod: Object, port: int) -> None:
        self.session = session
        self.port = port
        meta = pod["metadata"]
        path = session.catalog.find("pods").path(meta["namespace"], meta["name"], "portforward")
        self.target = session.api.target(path, {"ports": str(port)})

    def serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            print(f"Handling connection for {listener.getsockname()[1]}", flush=True)
            threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, connection: socket.socket) -> None:
        try:
            remote = WebSocket(self.session.api, self.target, ("v4.channel.k8s.io",))
        except HANDLED as error:
            print(f"error: an error occurred forwarding to {self.port}: {text_of(error)}", file=sys.stderr)
            connection.close()
            return
        threading.Thread(target=self._send, args=(connection, remote), daemon=True).start()
        seen = {_DATA: 0, _ERROR: 0}
        with contextlib.suppress(Closed, OSError):
            while message := remote.receive():
                channel, data = message[0], message[1:]
                skipped = min(len(data), _PORT_BYTES - seen[channel])
                seen[channel] += skipped
                data = data[skipped:]
                if channel == _DATA and data:
                    connection.sendall(data)
                elif data:
                    told = data.decode(errors="replace")
                    print(f"error: an error occurred forwarding to {self.port}: {told}", file=sys.stderr)
        remote.close()
        connection.close()

    def _send(self, connection: socket.socket, remote: WebSocket) -> None:
        with contextlib.suppress(Closed, OSError):
            while data := connection.recv(32768):
                remote.send(bytes([_DATA]) + data)
            # This protocol has no half-close: what is still to come gets a moment, then the connection ends.
            time.sleep(1)
        remote.close()


def _listen(addresses: list[str], port: int) -> list[socket.socket]:
    listeners = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            listener = socket.create_server((address, port), family=family)
        except OSError as error:
            if address == "::1" and len(addresses) > 1:
                continue  # a machine without IPv6
            raise Failure(f"error: unable to listen on {address}:{port}: {str(error.strerror).lower()}") from None
        port = port or listener.getsockname()[1]
        listeners.append(listener)
    return listeners


def _addresses(given: tuple[str, ...]) -> list[str]:
    names = [name for value in given for name in value.split(",")] or ["localhost"]
    return [address for name in names for address in (["127.0.0.1", "::1"] if name == "localhost" else [name])]


def _run(session: Session, args: tuple[str, ...], address: tuple[str, ...], pod_running_timeout: str) -> None:
    if len(args) < 2:
        raise misused(session.command, "TYPE/NAME and list of ports are required for port-forward")
    timeout = duration_seconds(pod_running_timeout, "--pod-running-timeout")
    _, obj, (pod, *_) = pods.wait_behind(session, args[0], timeout)
    if (phase := dig(pod, "status", "phase")) != "Running":
        raise Failure(f"error: unable to forward port because pod is not running. Current status={phase}")
    pairs = [(local, _pod_port(obj, pod, remote)) for local, remote in map(_pair, args[1:])]
    serving: list[tuple[socket.socket, Any]] = []
    for local, port in pairs:
        for listener in _listen(_addresses(address), local):
            host, bound = listener.getsockname()[:2]
            print(f"Forwarding from {in_url(host)}:{bound} -> {port}", flush=True)
            serving.append((listener, _Forward(session, pod, port)))
    for listener, forward in serving:
        threading.Thread(target=forward.serve, args=(listener,), daemon=True).start()
    select.select([], [], [])


VERB = KubectlCommand(
    "port-forward",
    _run,
    [
        many("address", help="Local addresses to listen on, localhost by default."),
        text("pod-running-timeout", default="1m0s", help="How long to wait for a pod."),
        arguments(),
    ],
    help="Forward local ports to a pod: TYPE/NAME [LOCAL:]REMOTE…",
)
