"""The downward API: a pod's own fields and its containers' resources as text, for env and for volumes. Pure.

Source: upstream `pkg/fieldpath/fieldpath.go`, `pkg/api/v1/resource/helpers.go` (ExtractContainerResourceValue).
"""

from __future__ import annotations

import re

from pylet.api import quantity
from pylet.api.object import Object, dig


class NotAvailable(Exception):
    """The field or resource asked for does not exist; the text says which."""


_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")
_PLAIN = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
)


def field_text(path: str, pod: Object) -> str:
    """The text of a fieldRef's `fieldPath`; "" for a field that is not set yet. Raises: NotAvailable."""
    if subscript := _SUBSCRIPT.fullmatch(path):
        table, name = subscript.groups()
        return str((pod["metadata"].get(table) or {}).get(name, ""))
    if path in ("metadata.labels", "metadata.annotations"):
        table = pod["metadata"].get(path.split(".")[1]) or {}
        return "\n".join(f"{name}={_quoted(value)}" for name, value in sorted(table.items()))
    if path in ("status.podIPs", "status.hostIPs"):
        return ",".join(entry["ip"] for entry in dig(pod, *path.split("."), default=()))
    if path in _PLAIN:
        return str(dig(pod, *path.split("."), default=""))
    raise NotAvailable(f"unsupported fieldPath: {path}")


def resource_text(ref: Object, pod: Object, node: Object, container: Object | None = None) -> str:
    """The text of a resourceFieldRef, rounded up to its divisor.

    `container` is the one that asks, where the reference names none. A limit that is not set is that of the whole pod,
    else the node's allocatable. Raises: NotAvailable.
    """
    if name := ref.get("containerName"):
        found = [c for c in pod["spec"]["containers"] + pod["spec"].get("initContainers", []) if c["name"] == name]
        if not found:
            raise NotAvailable(f"container {name} not found")
        container = found[0]
    if container is None:
        raise NotAvailable("resourceFieldRef names no container")
    bound, _, resource = ref["resource"].partition(".")
    value = dig(container, "resources", bound, resource)
    if value is None and bound == "limits":
        value = dig(pod, "spec", "resources", "limits", resource) or dig(node, "status", "allocatable", resource)
    divisor = quantity.parse(str(ref.get("divisor") or "0")).nanos or quantity.NANOS
    return str(-(-quantity.parse(str(value or "0")).nanos // divisor))


def _quoted(value: str) -> str:
    """As Go's %q prints a string."""
    escapes = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    return '"' + "".join(escapes.get(char, char) for char in value) + '"'
