"""What the pods' control groups are called, by either cgroup driver. Pure.

Source: upstream `pkg/kubelet/cm/cgroup_manager_linux.go` (ToCgroupfs, ToSystemd).
"""

from __future__ import annotations

from dataclasses import dataclass

CGROUPFS, SYSTEMD = "cgroupfs", "systemd"
_SLICE = ".slice"


@dataclass(slots=True)
class GroupNames:
    """`root` is the group below which `kubepods` is made. The driver is known for sure before the first pod starts."""

    root: str = "/"
    driver: str = CGROUPFS

    @property
    def is_systemd(self) -> bool:
        return self.driver == SYSTEMD

    def of(self, *names: str) -> str:
        """Where the group of these names lies; systemd's slices say in their own names where they are."""
        parts = [*filter(None, self.root.split("/")), *names]
        if not self.is_systemd:
            return "/" + "/".join(parts)
        parts = [part.replace("-", "_") for part in parts]
        return "".join(f"/{'-'.join(parts[:depth])}{_SLICE}" for depth in range(1, len(parts) + 1))

    def of_pods(self, tier: str = "") -> str:
        """Of all pods, or of the QoS class "burstable" or "besteffort"."""
        return self.of("kubepods", *([tier] if tier else ()))

    def of_pod(self, uid: str, tier: str = "") -> str:
        return self.of("kubepods", *([tier] if tier else ()), f"pod{uid}")

    def of_container(self, of_pod: str, id_: str) -> str:
        """As containerd calls it, below its pod's."""
        return f"{of_pod}/cri-containerd-{id_}.scope" if self.is_systemd else f"{of_pod}/{id_}"

    def pod(self, name: str) -> str | None:
        """The uid of the pod whose group is called so; None if it is no pod's."""
        if self.is_systemd:
            name = name.removesuffix(_SLICE).rpartition("-")[2].replace("_", "-")
        return name.removeprefix("pod") if name.startswith("pod") else None
