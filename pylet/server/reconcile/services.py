"""Services and their EndpointSlices as several controllers see them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pylet.api import selector
from pylet.api.backends import MANAGED_BY, SERVICE_NAME, target_port
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, is_terminating, key_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.members import member


def selecting(entry: Entry, view: View) -> Iterable[Key]:
    """A change of a pod concerns the Services that select it."""
    for service in view.table(SERVICE).in_namespace(entry.key.namespace).values():
        wanted = service.object["spec"].get("selector")
        if wanted and wanted.items() <= entry.labels.items():
            yield service.key


def selected(service: Object, view: View) -> list[Entry]:
    matches = selector.from_labels(service["spec"]["selector"])
    return view.entries(POD, service["metadata"]["namespace"], matches)


def port_of(port: Object, pod: Entry) -> int | None:
    """As `target_port`; the pod is decoded where the port has a name alone."""
    return target_port(port, pod.object if isinstance(port.get("targetPort"), str) else {})


def of_slices(manager: str) -> Callable[[Entry, View], Iterable[Key]]:
    """A change of a slice of that manager's concerns the slice's Service."""

    def keys(entry: Entry, view: View) -> Iterable[Key]:
        if entry.labels.get(MANAGED_BY) == manager:
            yield Key(entry.key.namespace, entry.labels.get(SERVICE_NAME, ""))

    return keys


def slices_of(service: Key, manager: str, view: View) -> list[Object]:
    """Those that stay."""
    return [
        entry.object
        for entry in view.table(ENDPOINT_SLICE).in_namespace(service.namespace).values()
        if entry.labels.get(SERVICE_NAME) == service.name
        and entry.labels.get(MANAGED_BY) == manager
        and not is_terminating(entry.object)
    ]


class Triggers:
    """Since when endpoints are out of date, for who measures how long a change takes to reach the nodes.

    Source: upstream `endpointslice/util/trigger_time_tracker.go`.
    """

    ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"

    def __init__(self) -> None:
        self._latest: dict[Key, str] = {}  # by Service, the newest change that was seen

    def annotated(self, service: Object, pods: Iterable[Entry]) -> dict[str, str]:
        """The annotation for what is written now; none where what changed has no time."""
        times = [service["metadata"]["creationTimestamp"], *(member(pod).ready_at for pod in pods)]
        known = self._latest.get(key_of(service), "")
        self._latest[key_of(service)] = max(time for time in times if time)
        fresh = min((time for time in times if time and time > known), default="")
        return {self.ANNOTATION: fresh} if fresh else {}

    def forget(self, service: Key) -> None:
        self._latest.pop(service, None)
