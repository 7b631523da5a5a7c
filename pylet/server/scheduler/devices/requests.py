"""What claims ask of devices, each request with its class, read once for all nodes. Pure.

Source: upstream `dynamic-resource-allocation/structured/internal/incubating/allocator_incubating.go`, `cel/compile.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pylet.api.cel.errors import CelError
from pylet.api.devices.selectors import compiled
from pylet.api.devices.taints import tolerates
from pylet.api.kinds.deviceclass import KIND as CLASS
from pylet.api.object import Key, Object, dig, key_of
from pylet.client.view import View
from pylet.server.scheduler.decide import Broken


class NoClass(Exception):
    """The class of a request is not there (yet)."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a claim, or one of its alternatives: `name` is then `request/alternative`."""

    name: str
    spec: Object
    device_class: Object
    claim: Key

    @property
    def words(self) -> str:
        return f"claim {self.claim}, request {self.name.rpartition('/')[2]}"

    @property
    def is_admin(self) -> bool:
        return bool(self.spec.get("adminAccess"))

    @property
    def takes_all(self) -> bool:
        return self.spec.get("allocationMode") == "All"

    def is_among(self, names: Sequence[str]) -> bool:
        """Whether a list of requests means this one; an empty list means all."""
        return not names or self.name in names or self.name.partition("/")[0] in names

    def selects(self, bindings: Mapping[str, Any]) -> bool:
        """Whether the device so bound is one that it may get. Raises: Broken."""
        by = ((f"class {self.device_class['metadata']['name']}", self.device_class["spec"]),)
        return all(
            _holds(selector["cel"]["expression"], bindings, f"{who}: selector #{at}")
            for who, spec in (*by, (f"claim {self.claim}", self.spec))
            for at, selector in enumerate(spec.get("selectors") or ())
        )

    def tolerates(self, taints: Sequence[Object]) -> bool:
        tolerations = self.spec.get("tolerations") or ()
        return all(
            taint.get("effect") not in ("NoSchedule", "NoExecute")
            or any(tolerates(each, taint) for each in tolerations)
            for taint in taints
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A claim with its requests, each by its alternatives: most have but one."""

    claim: Object
    requests: Sequence[Sequence[Request]]

    @classmethod
    def of(cls, claim: Object, view: View) -> Asked:
        """Raises: NoClass."""
        found = []
        for request in dig(claim, "spec", "devices", "requests", default=()):
            name, alternatives = request["name"], request.get("firstAvailable") or ()
            specs = [(f"{name}/{each['name']}", each) for each in alternatives] or [(name, request["exactly"])]
            found.append([Request(each, spec, _class(each, spec, view), key_of(claim)) for each, spec in specs])
        return cls(claim, found)


def _class(request: str, spec: Object, view: View) -> Object:
    name = spec["deviceClassName"]
    found = view.get(CLASS, Key("", name))
    if found is None:
        raise NoClass(f"request {request}: device class {name} does not exist")
    return found


def _holds(expression: str, bindings: Mapping[str, Any], where: str) -> bool:
    try:
        program = compiled(expression)
    except CelError as bad:
        raise Broken(f"{where}: CEL compile error: {bad}") from bad
    try:
        answer = program.evaluate(bindings)
    except CelError as bad:
        raise Broken(f"{where}: CEL runtime error: {bad}") from bad
    if not isinstance(answer, bool):
        raise Broken(f"{where}: CEL runtime error: CEL result could not be converted to bool")
    return answer
