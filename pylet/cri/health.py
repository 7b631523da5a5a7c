"""The gRPC health protocol (grpc.health.v1), as far as a probe needs it: is this service serving?"""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

_SERVING = 1


class Unhealthy(Exception):
    """Not serving, or not to be reached; the text says which."""


async def check(address: str, service: str, *, seconds: float) -> None:
    """Raises: Unhealthy."""
    # HealthCheckRequest.service and HealthCheckResponse.status are both field 1; two messages need no compiler.
    name = service.encode()
    request = b"\x0a" + bytes([len(name)]) + name if name else b""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer: bytes = await call(request, timeout=seconds)
        except grpc.aio.AioRpcError as failed:
            raise Unhealthy(f"error: health rpc probe failed: {failed.details()}") from failed
    status = answer[1] if len(answer) == 2 and answer[0] == 0x08 else 0
    if status != _SERVING:
        raise Unhealthy(f"service unhealthy (responded with status {status})")
