"""What a container is given of the node beyond a share of it, or why not: data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pylet.cri.messages import CDIDevice, Device, Mount


@dataclass(frozen=True, slots=True)
class Extras:
    """What a container is made with. `cpus` and `memory_nodes` are lists as the kernel has them; "" is all."""

    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    cdi_devices: tuple[CDIDevice, ...] = ()
    cpus: str = ""
    memory_nodes: str = ""
    has_own_cpus: bool = False


class CannotProvide(Exception):
    """A pod cannot have what it asks for; the text says why."""

    reason = "UnexpectedAdmissionError"

    @property
    def refusal(self) -> tuple[str, str]:
        """Reason and message of a pod that is refused for it."""
        return self.reason, f"Allocate failed due to {self}, which is unexpected"
