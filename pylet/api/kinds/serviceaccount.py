"""ServiceAccounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Kind
from pylet.api.object import Object


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], columns.age(obj, now)]


KIND = Kind(
    group="",
    version="v1",
    name="ServiceAccount",
    plural="serviceaccounts",
    definition="io.k8s.api.core.v1.ServiceAccount",
    short_names=("sa",),
    subresources=("token",),
    columns=(columns.NAME, columns.AGE),
    cells=_cells,
)
