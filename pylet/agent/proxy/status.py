"""What the proxy says of itself where kube-proxy does: whether it is well (port 10256), and how it works (10249).

Balancers of clouds ask 10256 whether a node takes traffic: one that is being deleted shall get no more.
Source: pkg/proxy/healthcheck/proxy_health.go, cmd/kube-proxy/app/server.go.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable

from pylet.agent.proxy.counted import Counted
from pylet.aio import httpanswer, process
from pylet.aio.clock import Clock
from pylet.aio.httpanswer import Answer
from pylet.aio.prometheus import gauge
from pylet.api.object import Object, dig, is_terminating
from pylet.api.timestamps import format_micro
from pylet.version import BUILD

log = logging.getLogger(__name__)

HEALTH_PORT, STATUS_PORT = 10256, 10249

_PLAIN = {"X-Content-Type-Options": "nosniff"}
_ABSENT = Answer(404, "404 page not found\n", headers=_PLAIN)
_LEAVING = "ToBeDeletedByClusterAutoscaler"


class Status:
    """`is_well` tells whether the rules are as they should be, `node` what the API says of this node, `waiting` of how
    many Services rules are still to be written."""

    def __init__(
        self,
        clock: Clock,
        is_well: Callable[[], bool],
        node: Callable[[], Object | None],
        counted: Counted,
        waiting: Callable[[], int],
    ) -> None:
        self._counted, self._waiting = counted, waiting
        self._clock = clock
        self._is_well = is_well
        self._node = node
        self._well_at = clock.now()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Where a port is taken, the proxy goes on without it."""
        with contextlib.ExitStack() as stack:
            for answer, address, port in (
                (self.health, None, HEALTH_PORT),
                (self.status, "127.0.0.1", STATUS_PORT),
            ):
                try:
                    stack.enter_context(contextlib.closing(await httpanswer.serve(answer, address, port)))
                except OSError as taken:
                    log.error("nobody can ask on port %d how the proxy is: %s", port, taken)
            yield

    def health(self, path: str) -> Answer:
        match path:
            case "/livez":
                answer = self._health({}, is_well=self._is_well())
            case "/healthz":
                is_eligible = _is_eligible(self._node())
                answer = self._health({"nodeEligible": is_eligible}, is_well=self._is_well() and is_eligible)
            case _:
                return _ABSENT
        self._counted.answers[path].add(str(answer.code))
        return answer

    def status(self, path: str) -> Answer:
        match path:
            case "/healthz":
                return Answer(200, "ok", headers=_PLAIN)
            case "/metrics":
                return Answer(200, self._metrics(), "text/plain; version=0.0.4; charset=utf-8")
            case "/proxyMode":
                return Answer(200, "nftables", headers=_PLAIN)
        return _ABSENT

    def _metrics(self) -> str:
        lines = [
            *self._counted.lines(self._waiting()),
            *gauge("kubernetes_build_info", "The version.", BUILD, 1),
            *process.lines(),
        ]
        return "".join(f"{line}\n" for line in lines)

    def _health(self, more: Object, *, is_well: bool) -> Answer:
        now = self._clock.now()
        if self._is_well():
            self._well_at = now
        times = {"lastUpdated": format_micro(self._well_at), "currentTime": format_micro(now)}
        return Answer(200 if is_well else 503, json.dumps(times | more), "application/json", _PLAIN)


def _is_eligible(node: Object | None) -> bool:
    if node is None:
        return False
    taints = dig(node, "spec", "taints", default=()) or ()
    return not is_terminating(node) and all(taint["key"] != _LEAVING for taint in taints)
