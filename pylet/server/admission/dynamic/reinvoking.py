"""What has to be known of a first round of mutation in the second.

Source: apiserver pkg/admission/plugin/{webhook,policy}/mutating/reinvocationcontext.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from pylet.api.object import Object
from pylet.server.admission.interface import Attributes


@dataclass(slots=True)
class Invoked:
    """`candidates` are those that were asked and want to be again when others change the object after them; `again`
    those that will be. `left` is the object as this plugin left it."""

    left: Object | None = None
    candidates: set[Any] = field(default_factory=set)
    again: set[Any] = field(default_factory=set)

    def begin(self, write: Attributes) -> None:
        """What other plugins have changed since is a change, too."""
        if write.reinvocation.is_again and write.obj != self.left:
            self.renew()

    def renew(self) -> None:
        self.again |= self.candidates
        self.candidates.clear()

    def end(self, write: Attributes) -> None:
        self.left = orjson.loads(orjson.dumps(write.obj))

    def skips(self, write: Attributes, key: Any) -> bool:
        """Whether it is not asked in this round: nobody is asked for the first time in the second."""
        return write.reinvocation.is_again and key not in self.again
