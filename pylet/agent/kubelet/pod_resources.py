"""Serves the PodResources API; what answers it is loaded when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pylet.agent.kubelet import counters
from pylet.aio.bucket import Bucket
from pylet.api.object import Object
from pylet.cri import served
from pylet.cri.rpc import CallError

if TYPE_CHECKING:
    from pylet.agent.kubelet.holdings import Holdings

_PER_SECOND = 100  # upstream: pkg/kubelet/apis/podresources/constants.go
_AT_ONCE = 10


async def serve(
    directory: Path,
    pods: Callable[[], Collection[Object]],
    holdings: Callable[[], Holdings],
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Until cancelled, in a socket in `directory`. `now` is in seconds."""

    async def answer(method: str, request: bytes) -> bytes:
        from pylet.agent.kubelet import holdings as loaded

        asked, refused = counters.HOLDINGS_OF[method]
        counters.HOLDINGS.add("v1")
        asked.add("v1")
        try:
            return loaded.answer(method, request, pods(), holdings())
        except served.Refused:
            refused.add("v1")
            raise

    async def answer_alpha(request: bytes) -> bytes:
        """v1's answer: the fields that v1alpha1 knows are the same there, and it passes over the others."""
        from pylet.agent.kubelet import holdings as loaded

        counters.HOLDINGS.add("v1alpha1")
        return loaded.answer("List", request, pods(), holdings())

    methods: dict[str, served.Method] = {"/v1alpha1.PodResourcesLister/List": answer_alpha}
    methods |= {f"/v1.PodResourcesLister/{method}": partial(answer, method) for method in counters.HOLDINGS_OF}
    bucket = Bucket(_PER_SECOND, _AT_ONCE, now)
    await served.serve(_socket(directory), {path: _limited(bucket, method) for path, method in methods.items()})


def _limited(bucket: Bucket, method: served.Method) -> served.Method:
    async def answer(request: bytes) -> bytes:
        if not bucket.take():
            raise CallError("ResourceExhausted", "rejected by rate limit")
        return await method(request)

    return answer


def _socket(directory: Path) -> Path:
    """Where one can be made."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    socket = directory / "kubelet.sock"
    socket.unlink(missing_ok=True)
    return socket
