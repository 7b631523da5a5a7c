"""Services and their EndpointSlices as several controllers see them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pylet.api.backends import MANAGED_BY, SERVICE_NAME
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object
from pylet.client.view import Entry, View


def selecting(entry: Entry, view: View) -> Iterable[Key]:
    """A change of a pod concerns the Services that select it."""
    for service in view.table(SERVICE).in_namespace(entry.key.namespace).values():
        wanted = service.object["spec"].get("selector")
        if wanted and wanted.items() <= entry.labels.items():
            yield service.key


def of_slices(manager: str) -> Callable[[Entry, View], Iterable[Key]]:
    """A change of a slice of that manager's concerns the slice's Service."""

    def keys(entry: Entry, view: View) -> Iterable[Key]:
        if entry.labels.get(MANAGED_BY) == manager:
            yield Key(entry.key.namespace, entry.labels.get(SERVICE_NAME, ""))

    return keys


def slices_of(service: Key, manager: str, view: View) -> list[Object]:
    return [
        entry.object
        for entry in view.table(ENDPOINT_SLICE).in_namespace(service.namespace).values()
        if entry.labels.get(SERVICE_NAME) == service.name and entry.labels.get(MANAGED_BY) == manager
    ]
