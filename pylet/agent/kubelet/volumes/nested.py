"""Mount points inside a volume that containers cannot write: the node makes them, as the runtime could not. Pure.

Source: upstream `pkg/volume/util/nested_volumes.go`.
"""

from __future__ import annotations

import posixpath

from pylet.api.object import Object


def nested_mount_points(name: str, pod: Object) -> list[str]:
    """Directories inside volume `name` where some container mounts another volume; not those inside of such again."""
    groups = ("initContainers", "containers", "ephemeralContainers")
    found: dict[str, None] = {}
    for container in (container for group in groups for container in pod["spec"].get(group) or ()):
        uses = container.get("volumeMounts") or ()
        points = sorted(posixpath.normpath(use["mountPath"]) for use in uses)
        for own in (posixpath.normpath(use["mountPath"]) for use in uses if use["name"] == name):
            inside: list[str] = []
            for point in points:
                if point.startswith(f"{own}/") and not any(point.startswith(f"{outer}/") for outer in inside):
                    inside.append(point)
            found |= dict.fromkeys(point.removeprefix(f"{own}/") for point in inside)
    return list(found)
