"""Which pods this kubelet has admitted, in order, and with what resources: what later admissions and resizes count.

A pod's spec says what is wanted, its status what was told; neither says in time what others were promised. What a
resize has granted is written down before it is carried out. What a pod was admitted with, its spec says, or its status
where a resize was asked for while nobody looked.
Source: upstream `pkg/kubelet/allocation/allocation_manager.go` and its `state`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pylet.agent.kubelet import resize
from pylet.agent.kubelet.resize import Allocation
from pylet.aio import wholefile
from pylet.api.object import Object, uid_of
from pylet.api.podtemplate import is_finished

log = logging.getLogger(__name__)


class Allocations:
    """Whoever admits a pod holds `turn` meanwhile: of two that come at once the second counts the first."""

    def __init__(self, root: Path) -> None:
        self.turn = asyncio.Lock()
        self._file = root / "allocated_pods_state"
        self._granted = _read(self._file)
        """By uid, what resizes have granted."""
        self._admitted: dict[str, Allocation] = {}

    def __contains__(self, pod: Object) -> bool:
        return uid_of(pod) in self._admitted

    def of(self, pod: Object) -> Allocation:
        """What the pod has been admitted with; what it had before, where that is to be seen."""
        return self._admitted.get(uid_of(pod)) or self._granted.get(uid_of(pod)) or resize.granted_before(pod)

    def admit(self, pod: Object) -> None:
        """The pod is taken with what it has, or else what it wants."""
        self._admitted[uid_of(pod)] = self.of(pod)

    def grant(self, pod: Object) -> None:
        """What the pod wants now is what it has."""
        allocation = self._admitted[uid_of(pod)] = resize.wanted(pod)
        self._granted[uid_of(pod)] = allocation
        self._write()

    def allocated(self, pod: Object) -> Object:
        return resize.with_allocation(pod, self.of(pod))

    def others(self, pod: Object, pods: Iterable[Object]) -> list[Object]:
        """Of `pods` those beside this one that hold something of the node, as they were promised it."""
        return [
            self.allocated(other)
            for other in pods
            if uid_of(other) != uid_of(pod) and other in self and not is_finished(other)
        ]

    def forget(self, uid: str) -> None:
        self._admitted.pop(uid, None)
        if self._granted.pop(uid, None) is not None:
            self._write()

    def keep(self, uids: Collection[str]) -> None:
        """Forget what ended while nobody looked."""
        for uid in self._granted.keys() - uids:
            self.forget(uid)

    def _write(self) -> None:
        try:
            wholefile.write(self._file, json.dumps({"entries": self._granted}).encode())
        except OSError as failed:
            log.warning("what resizes have granted cannot be written down: %s", failed)


def _read(file: Path) -> dict[str, Mapping[str, Any]]:
    try:
        entries = json.loads(file.read_text())["entries"]
        return {uid: dict(entry) for uid, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as bad:
        log.error("%s: %s; the status of pods says what resizes have granted", file, bad)
        return {}
