"""Where this node's own pods are, while the server cannot be told: a pod that starts anew has another address.

A status that could not be sent corrects the endpoints of that pod in the node's own table; what the server says later,
or that it has been told, ends the correction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.object import Key, Object, dig
from pylet.client.view import Entry, Table


@dataclass(frozen=True, slots=True)
class Place:
    address: str
    is_ready: bool | None  # None for as the server has it


class Corrections:
    """Of the EndpointSlices in the table given to `correct`; before that they are only remembered."""

    def __init__(self) -> None:
        self._places: dict[Key, Place] = {}
        self._said: dict[Key, Entry] = {}
        self._slices = Table(ENDPOINT_SLICE)

    def correct(self, slices: Table) -> None:
        self._slices = slices
        self._apply()

    def unsent(self, pod: Key, status: Object) -> None:
        """All that is to be changed in what the server has of a pod's status, and could not be sent."""
        ready = [each["status"] == "True" for each in status.get("conditions") or () if each.get("type") == "Ready"]
        place = Place(status.get("podIP") or "", ready[0] if ready else None)
        if self._places.get(pod) != place:
            self._places[pod] = place
            self._apply()

    def sent(self, pod: Key) -> None:
        """The server knows this pod's status: its own word holds again."""
        if self._places.pop(pod, None) is not None:
            self._apply()

    def _apply(self) -> None:
        if not self._places and not self._said:
            return
        said_before, self._said = self._said, {}
        for key, entry in list(self._slices.entries.items()):
            is_ours = entry.revision == 0 and key in said_before
            said = said_before[key] if is_ours else entry
            wanted = corrected(said.object, self._places)
            if wanted is not None:
                self._said[key] = said
                # Without a revision, so that whatever the server says replaces it.
                unsaid = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": ""}}
                self._slices.put(Entry.of(ENDPOINT_SLICE, unsaid))
            elif is_ours:
                self._slices.put(said)


def corrected(endpoint_slice: Object, places: Mapping[Key, Place]) -> Object | None:
    """The slice with the endpoints of pods that have moved; None where none has."""
    endpoints = endpoint_slice.get("endpoints") or []
    moved = [_moved(endpoint, places) for endpoint in endpoints]
    return None if moved == endpoints else {**endpoint_slice, "endpoints": moved}


def _moved(endpoint: Object, places: Mapping[Key, Place]) -> Object:
    target = endpoint.get("targetRef") or {}
    place = places.get(Key(target.get("namespace", ""), target.get("name", "")))
    if target.get("kind") != "Pod" or place is None or place.address in ("", *endpoint["addresses"]):
        return endpoint
    if (":" in place.address) != (":" in dig(endpoint, "addresses", default=[""])[0]):
        return endpoint
    moved = {**endpoint, "addresses": [place.address]}
    if place.is_ready is not None:
        moved["conditions"] = {"ready": place.is_ready, "serving": place.is_ready, "terminating": False}
    return moved
