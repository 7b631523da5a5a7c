"""What the subresources `ephemeralcontainers` and `resize` may change in a pod.

Source: core validation.go, ValidatePodEphemeralContainersUpdate and ValidatePodResize; registry/core/pod/strategy.go.
"""

from __future__ import annotations

from pylet.api import causes, golang
from pylet.api.errors import Cause
from pylet.api.object import Object, dig
from pylet.api.podspec.notes import MIRROR
from pylet.api.qos import qos_class

_KINDS = ("containers", "initContainers")
_RESIZABLE = ("cpu", "memory")


def with_ephemeral(old: Object, new: Object) -> Object:
    """The old spec with the new ephemeral containers; nothing else goes through that subresource."""
    taken = {"ephemeralContainers": new["ephemeralContainers"]} if new.get("ephemeralContainers") else {}
    return {**{name: value for name, value in old.items() if name != "ephemeralContainers"}, **taken}


def resized(old: Object, new: Object) -> Object:
    """The old spec with the new resources; as asked, to be refused, where containers come, go or change places."""
    if any(_names(old, kind) != _names(new, kind) for kind in _KINDS):
        return new
    spec = {**old, **{kind: _resized(old[kind], new[kind]) for kind in _KINDS if old.get(kind)}}
    spec.pop("resources", None)
    return {**spec, **({"resources": new["resources"]} if "resources" in new else {})}


def _names(spec: Object, kind: str) -> list[str]:
    return [container.get("name", "") for container in spec.get(kind) or ()]


def _resized(old: list[Object], new: list[Object]) -> list[Object]:
    fields = ("resources", "resizePolicy")
    return [
        {name: value for name, value in before.items() if name not in fields}
        | {name: after[name] for name in fields if name in after}
        for before, after in zip(old, new, strict=True)
    ]


def ephemeral_changes(pod: Object, old: Object) -> list[Cause]:
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [causes.forbidden("", "static pods do not support ephemeral containers")]
    found: list[Cause] = []
    now = {container.get("name"): container for container in pod["spec"].get("ephemeralContainers") or ()}
    for container in old["spec"].get("ephemeralContainers") or ():
        name = causes.quoted(container.get("name", ""))
        where = "spec.ephemeralContainers"
        if container.get("name") not in now:
            found.append(causes.forbidden(where, f"existing ephemeral containers {name} may not be removed\n"))
        elif now[container["name"]] != container:
            both = (golang.inside("EphemeralContainer", one) for one in (container, now[container["name"]]))
            says = f"existing ephemeral containers {name} may not be changed\n{golang.difference(*both)}"
            found.append(causes.forbidden(where, says))
    return found


def resize_changes(pod: Object, old: Object) -> list[Cause]:
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [causes.forbidden("", "static pods cannot be resized")]
    if dig(old, "spec", "os", "name") == "windows":
        return [causes.forbidden("", "windows pods cannot be resized")]
    spec, before = pod["spec"], old["spec"]
    found: list[Cause] = []
    quality = dig(old, "status", "qosClass", default="") or qos_class(old)
    if quality != qos_class(pod):
        says = "Pod QOS Class may not change as a result of resizing"
        found.append(causes.invalid("spec", dig(pod, "status", "qosClass", default=""), says))
    running = (
        one for one in dig(old, "status", "containerStatuses", default=()) if dig(one, "state", "running") is not None
    )
    first = next(running, None)
    if first is not None and "resources" not in first:
        found.append(causes.forbidden("spec", "Pod running on node without support for resize"))
    misplaced = _misplaced(spec, before)
    if misplaced:
        return [*found, *misplaced]
    for kind in ("initContainers", "containers"):
        for position, container in enumerate(spec.get(kind) or ()):
            found += _container(container, before[kind][position], kind, position)
    return found


def _misplaced(spec: Object, old: Object) -> list[Cause]:
    found: list[Cause] = []
    for kind in _KINDS:
        names, before = _names(spec, kind), _names(old, kind)
        if len(names) != len(before):
            found.append(causes.forbidden(f"spec.{kind}", f"{kind} may not be added or removed on resize"))
        else:
            says = f"{kind} may not be renamed or reordered on resize"
            found += [
                causes.forbidden(f"spec.{kind}[{at}].name", says) for at, name in enumerate(names) if name != before[at]
            ]
    return found


def _container(container: Object, old: Object, kind: str, position: int) -> list[Cause]:
    where = f"spec.{kind}[{position}]"
    sidecar = old.get("restartPolicy") == "Always"
    found: list[Cause] = []
    restarts = any(each.get("restartPolicy") == "RestartContainer" for each in container.get("resizePolicy") or ())
    if kind == "initContainers" and not sidecar and container != old and restarts:
        says = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
        found.append(causes.forbidden(where, says))
    asked, had = container.get("resources") or {}, old.get("resources") or {}
    for amounts in ("requests", "limits"):
        if any(name not in (asked.get(amounts) or {}) for name in had.get(amounts) or ()):
            says = f"resource {amounts} cannot be removed"
            found.append(causes.forbidden(f"{where}.resources.{amounts}", says))
    if _fixed(container) != _fixed(old):
        if kind == "initContainers":
            says = "only cpu and memory resources for init or sidecar containers are mutable"
            found.append(causes.forbidden(where, says))
        else:
            found.append(causes.forbidden("spec", "only cpu and memory resources are mutable"))
    return found


def _fixed(container: Object) -> Object:
    """A container without what a resize may change."""
    resources = container.get("resources") or {}
    kept = {
        amounts: {name: value for name, value in (resources.get(amounts) or {}).items() if name not in _RESIZABLE}
        for amounts in ("requests", "limits")
    }
    return {name: value for name, value in container.items() if name != "resources"} | kept
