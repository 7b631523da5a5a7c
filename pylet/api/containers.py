"""The containers of a pod's spec, by how they run. Pure; a spec that nobody has validated yet will do."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api.object import Object


def every(spec: Object) -> Iterator[Object]:
    yield from planned(spec)
    yield from spec.get("ephemeralContainers") or ()


def placed(spec: Object, field: str) -> Iterator[tuple[Object, str]]:
    """Every container with its path in a spec that lies at `field`."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for position, container in enumerate(spec.get(kind) or ()):
            yield container, f"{field}.{kind}[{position}]"


def planned(spec: Object) -> Iterator[Object]:
    """Those that the pod was made with, in the order in which they start."""
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def lasting(spec: Object) -> Iterator[Object]:
    """Those that run as long as the pod does: sidecars are among them."""
    yield from spec.get("containers") or ()
    yield from filter(is_sidecar, spec.get("initContainers") or ())


def is_sidecar(container: Object) -> bool:
    """Whether an init container does not end before the others start."""
    return container.get("restartPolicy") == "Always"
