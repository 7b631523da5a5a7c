"""ValidatingWebhookConfigurations, and what the mutating ones have in common with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

COLUMNS = (
    columns.NAME,
    Column("Webhooks", "integer", description="How many webhooks it has."),
    columns.AGE,
)


class WebhookConfigurationStrategy(Strategy):
    has_generation = True

    def spec_changed(self, obj: Object, old: Object) -> bool:
        return bool(obj.get("webhooks") != old.get("webhooks"))

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.admission_rules import webhooks

        return webhooks.validate(obj)

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        from pylet.api.admission_rules import webhooks

        return webhooks.validate(obj, old)


def cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], len(obj.get("webhooks") or ()), columns.age(obj, now)]


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    definition="io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    namespaced=False,
    categories=("api-extensions",),
    strategy=WebhookConfigurationStrategy(),
    columns=COLUMNS,
    cells=cells,
)
