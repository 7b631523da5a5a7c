"""How things stand with a pod on its node: the version of it that is looked after, and whether and why it has to go."""

from __future__ import annotations

from dataclasses import dataclass

from pylet.agent.kubelet.stopping import Ending, grace_seconds
from pylet.api.object import Object, is_terminating


@dataclass(slots=True)
class Standing:
    """What has failed stays failed: what comes later is not told.

    `failure` is the reason and the message of a pod that ends as Failed; `is_gone`: the API has it no more.
    """

    pod: Object
    failure: tuple[str, str] | None = None
    disruption: str = ""
    is_gone: bool = False
    _grace_limit: int | None = None

    @property
    def is_ending(self) -> bool:
        """Whether it was deleted."""
        return self.is_gone or is_terminating(self.pod)

    @property
    def has_to_go(self) -> bool:
        return self.is_ending or self.failure is not None

    def end(self, ending: Ending) -> bool:
        """The node wants it gone; whether that is new."""
        if self.failure is not None:
            return False
        self.failure, self._grace_limit = (ending.reason, ending.message), ending.grace_seconds
        self.disruption = ending.disruption
        return True

    def grace_seconds(self) -> int:
        grace = grace_seconds(self.pod)
        return grace if self._grace_limit is None else min(grace, self._grace_limit)
