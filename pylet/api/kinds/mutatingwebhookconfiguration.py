"""MutatingWebhookConfigurations."""

from __future__ import annotations

from pylet.api.kind import Kind
from pylet.api.kinds.validatingwebhookconfiguration import COLUMNS, WebhookConfigurationStrategy, cells

KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    definition="io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    namespaced=False,
    categories=("api-extensions",),
    strategy=WebhookConfigurationStrategy(),
    columns=COLUMNS,
    cells=cells,
)
