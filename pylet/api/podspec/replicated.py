"""Kinds that keep a number of pods: what their updates may change and their status say. Source: apps validation.go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pylet.api import causes, golang
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec import template


class ReplicatedStrategy(template.TemplateStrategy):
    has_status = True
    counts: ClassVar[Sequence[str]]
    """Numbers in the status, none of them negative."""
    parts: ClassVar[Sequence[str]]
    """Those of them that all replicas are at least as many as."""

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return self._status(obj.get("status") or {})
        changed = self.changes(obj["spec"], old["spec"])
        if subresource == "scale" or obj["spec"] == old["spec"]:
            return [*template.not_negative(obj["spec"], "replicas"), *changed]
        return [*self.validate(obj), *changed]

    def changes(self, spec: Object, old: Object) -> list[Cause]:
        """Of what may not change."""
        return golang.immutable("spec.selector", "LabelSelector", spec.get("selector"), old.get("selector"))

    def _status(self, status: Object) -> list[Cause]:
        found = template.not_negative(status, *self.counts, field="status")
        replicas, available = status.get("replicas", 0), status.get("availableReplicas", 0)
        for name in self.parts:
            if status.get(name, 0) > replicas:
                says = "cannot be greater than status.replicas"
                found.append(causes.invalid(f"status.{name}", status.get(name, 0), says))
        if available > status.get("readyReplicas", 0):
            found.append(causes.invalid("status.availableReplicas", available, "cannot be greater than readyReplicas"))
        return found
