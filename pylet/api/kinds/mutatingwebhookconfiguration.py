"""MutatingWebhookConfigurations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class MutatingWebhookConfigurationStrategy(Strategy):
    has_generation = True

    def spec_changed(self, obj: Object, old: Object) -> bool:
        return bool(obj.get("webhooks") != old.get("webhooks"))


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], len(obj.get("webhooks") or ()), columns.age(obj, now)]


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    definition="io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    namespaced=False,
    categories=("api-extensions",),
    strategy=MutatingWebhookConfigurationStrategy(),
    columns=(
        columns.NAME,
        Column("Webhooks", "integer", description="How many webhooks it has."),
        columns.AGE,
    ),
    cells=_cells,
)
