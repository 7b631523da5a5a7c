"""ServiceAccounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Kind, Strategy
from pylet.api.object import Object, annotations_of

_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


class ServiceAccountStrategy(Strategy):
    """Of the Secrets it names no more than the names is kept; source: registry/core/serviceaccount/strategy.go."""

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        _keep_names(obj)

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        _keep_names(obj)

    def warnings(self, obj: Object) -> Sequence[str]:
        says = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        return [f"metadata.annotations[{_MOUNTABLE}]: {says}"] if _MOUNTABLE in annotations_of(obj) else ()

    def update_warnings(self, obj: Object, old: Object) -> Sequence[str]:
        return () if _MOUNTABLE in annotations_of(old) else self.warnings(obj)


def _keep_names(account: Object) -> None:
    for secret in account.get("secrets") or ():
        for field in secret.keys() - {"name"}:
            del secret[field]


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
    strategy=ServiceAccountStrategy(),
    columns=(columns.NAME, columns.AGE),
    cells=_cells,
)
