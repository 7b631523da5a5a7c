"""Says how serving goes: what stands against it in events, and by an annotation of the Node whether it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from pylet.agent.ingress.model import Problem
from pylet.api.errors import ApiError
from pylet.api.ingress import SERVES
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, key_of
from pylet.client.events import Recorder
from pylet.client.interface import Client
from pylet.client.view import Table

log = logging.getLogger(__name__)

_RETRY_SECONDS = 60.0


class Telling:
    """`again` is called when what could not be said is to be said once more."""

    def __init__(self, client: Client, recorder: Recorder, nodes: Table, node: Key, again: Callable[[], None]) -> None:
        self.serves: bool | None = None
        """What the Node says; None while it says nothing."""
        self._client = client
        self._recorder = recorder
        self._nodes = nodes
        self._node = node
        self._again = again
        self._told: set[Problem] = set()

    def tell(self, everybody: Iterable[tuple[str, Object]], problems: Iterable[Problem]) -> None:
        """Each problem once for as long as it lasts; `everybody` are those they may be about, with their kinds."""
        by_name, problems = {(kind, key_of(one)): one for kind, one in everybody}, set(problems)
        for problem in sorted(problems - self._told):
            log.warning("%s %s: %s", problem.kind, problem.about, problem.message)
            self._recorder.tell(by_name[problem.kind, problem.about], "Warning", problem.reason, problem.message)
        self._told = problems

    async def say(self, *, serves: bool) -> None:
        if serves == self.serves or self._node not in self._nodes.entries:  # said when the node is there
            return
        annotations = {SERVES: "true" if serves else None}
        try:
            await self._client.patch(NODE, self._node, {"metadata": {"annotations": annotations}})
            self.serves = serves
        except ApiError as failed:
            log.warning("say whether ingresses are served: %s", failed.message)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._again)
