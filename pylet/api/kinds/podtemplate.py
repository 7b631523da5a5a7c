"""PodTemplates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind
from pylet.api.object import Object
from pylet.api.podspec import template


class PodTemplateStrategy(template.TemplateStrategy):
    template_field = "template"
    names_pods = False

    def spec_changed(self, obj: Object, old: Object) -> bool:
        return bool(obj["template"] != old["template"])

    def validate(self, obj: Object) -> Sequence[Cause]:
        return template.validate(obj["template"], "template")


def _cells(obj: Object, now: datetime) -> list[Any]:
    pods = obj["template"]
    names_and_images = columns.template_cells(obj)[:2]
    return [obj["metadata"]["name"], *names_and_images, columns.labels_cell(template.labels_of(pods))]


KIND = Kind(
    group="",
    version="v1",
    name="PodTemplate",
    plural="podtemplates",
    definition="io.k8s.api.core.v1.PodTemplate",
    strategy=PodTemplateStrategy(),
    columns=(
        columns.NAME,
        Column("Containers", description="Names of each container in the template."),
        Column("Images", description="Images referenced by each container in the template."),
        Column("Pod Labels", description="The labels of the template."),
    ),
    cells=_cells,
)
