"""Claims that drivers have prepared here, or may have: for which pods, and what that gave. Pure.

Written down before a driver is asked, so that after a crash it is asked to take back what it may have begun.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field

from pylet.agent.kubelet.claims.messages import Claim, Device
from pylet.api.object import Key, Object, dig, key_of, uid_of


class Corrupt(ValueError):
    """The file is not what was written."""


@dataclass(slots=True)
class Held:
    """`drivers` with what each gave; `is_prepared` is not known any more after a restart."""

    key: Key
    uid: str
    drivers: dict[str, tuple[Device, ...]]
    pods: set[str] = field(default_factory=set)
    is_prepared: bool = False

    @classmethod
    def of(cls, claim: Object) -> Held:
        results = dig(claim, "status", "allocation", "devices", "results", default=())
        return cls(key_of(claim), uid_of(claim), {result["driver"]: () for result in results})

    @property
    def message(self) -> Claim:
        return Claim(self.key.namespace, self.uid, self.key.name)

    def names_for(self, request: str) -> Iterator[str]:
        """The CDI devices of a request; "" stands for all of the claim."""
        for devices in self.drivers.values():
            for device in devices:
                if not request or not device.request_names or request in device.request_names:
                    yield from device.cdi_device_ids


def to_text(claims: Iterable[Held]) -> str:
    return json.dumps(
        [
            {
                "namespace": held.key.namespace,
                "name": held.key.name,
                "uid": held.uid,
                "pods": sorted(held.pods),
                "drivers": {name: [asdict(device) for device in given] for name, given in held.drivers.items()},
            }
            for held in claims
        ]
    )


def from_text(text: str) -> dict[Key, Held]:
    """Raises: Corrupt."""
    found = {}
    try:
        for entry in json.loads(text):
            key = Key(entry["namespace"], entry["name"])
            drivers = {name: tuple(_device(device) for device in given) for name, given in entry["drivers"].items()}
            found[key] = Held(key, entry["uid"], drivers, set(entry["pods"]))
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise Corrupt(f"checkpoint is corrupted: {broken}") from broken
    return found


def _device(entry: Object) -> Device:
    requests, ids = tuple(entry["request_names"]), tuple(entry["cdi_device_ids"])
    return Device(requests, entry["pool_name"], entry["device_name"], ids)
