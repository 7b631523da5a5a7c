"""The gRPC health protocol (grpc.health.v1), as far as a probe needs it: is this service serving?"""

from __future__ import annotations

from pylet.cri.socket import CallError, ServiceSocket
from pylet.cri.wire import at, message

_SERVING = 1


class Unhealthy(Exception):
    """Not serving, or not to be reached; the text says which."""


@message
class _Asked:
    service: str = at(1, "")


@message
class _Answered:
    status: int = at(1, 0)


async def check(address: str, service: str, *, seconds: float) -> None:
    """Raises: Unhealthy."""
    socket = ServiceSocket(address)
    try:
        answer = await socket.call("/grpc.health.v1.Health/Check", _Asked(service), _Answered, seconds=seconds)
    except CallError as failed:
        raise Unhealthy(f"error: health rpc probe failed: {failed.details}") from failed
    finally:
        await socket.close()
    if answer.status != _SERVING:
        raise Unhealthy(f"service unhealthy (responded with status {answer.status})")
