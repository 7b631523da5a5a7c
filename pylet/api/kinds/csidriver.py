"""CSIDrivers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

_FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_MODES = ("Persistent", "Ephemeral")
_LEAST_SECONDS = 600
_MOST_SECONDS = 1 << 32
_NO_TOKENS = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
_IN_ATTRIBUTES = (
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible "
    "logging of tokens in volume attributes"
)


class CSIDriverStrategy(Strategy):
    """Source: pkg/apis/storage/validation, ValidateCSIDriver; upstream's field is `attachedRequired` there, too."""

    has_generation = True

    def prepare_create(self, obj: Object) -> None:
        """Upstream counts changes only: a new object has no generation."""
        obj["spec"].pop("preventPodSchedulingIfMissing", None)

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        obj["spec"].pop("preventPodSchedulingIfMissing", None)
        generation = old["metadata"].get("generation", 0) + self.spec_changed(obj, old)
        if generation:
            obj["metadata"]["generation"] = generation

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found: list[Cause] = []
        policy = spec.get("fsGroupPolicy")
        if policy is not None and policy not in _FS_GROUP_POLICIES:
            found.append(causes.not_supported("spec.fsGroupPolicy", policy, _FS_GROUP_POLICIES))
        found += _tokens(spec.get("tokenRequests") or ())
        for mode in spec.get("volumeLifecycleModes") or ():
            if mode not in _MODES:
                found.append(causes.not_supported("spec.volumeLifecycleModes", mode, _MODES))
        period = spec.get("nodeAllocatableUpdatePeriodSeconds")
        if period is not None and period < 10:
            says = "must be greater than or equal to 10 seconds"
            found.append(causes.invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, says))
        in_secrets = spec.get("serviceAccountTokenInSecrets")
        if in_secrets is not None and not spec.get("tokenRequests"):
            found.append(causes.invalid("spec.serviceAccountTokenInSecrets", in_secrets, _NO_TOKENS))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = list(self.validate(obj))
        for name, field in (("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")):
            found += causes.immutable(f"spec.{field}", obj["spec"].get(name), old["spec"].get(name))
        return found

    def warnings(self, obj: Object) -> Sequence[str]:
        spec = obj["spec"]
        return (_IN_ATTRIBUTES,) if spec.get("tokenRequests") and "serviceAccountTokenInSecrets" not in spec else ()

    def update_warnings(self, obj: Object, old: Object) -> Sequence[str]:
        return self.warnings(obj) if obj["spec"].get("tokenRequests") != old["spec"].get("tokenRequests") else ()


def _tokens(requests: Sequence[Object]) -> list[Cause]:
    found: list[Cause] = []
    audiences: set[str] = set()
    for position, request in enumerate(requests):
        where, audience = f"spec.tokenRequests[{position}]", request.get("audience", "")
        if audience in audiences:
            found.append(causes.duplicate(f"{where}.audience", audience))
            continue
        audiences.add(audience)
        seconds = request.get("expirationSeconds", _LEAST_SECONDS)
        if seconds < _LEAST_SECONDS:
            says = "may not specify a duration less than 10 minutes"
            found.append(causes.invalid(f"{where}.expirationSeconds", seconds, says))
        if seconds > _MOST_SECONDS:
            says = "may not specify a duration larger than 2^32 seconds"
            found.append(causes.invalid(f"{where}.expirationSeconds", seconds, says))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    requests = spec.get("tokenRequests")
    return [
        obj["metadata"]["name"],
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        "<unset>" if requests is None else ",".join(request.get("audience", "") for request in requests),
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        columns.age(obj, now),
    ]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSIDriver",
    plural="csidrivers",
    definition="io.k8s.api.storage.v1.CSIDriver",
    namespaced=False,
    strategy=CSIDriverStrategy(),
    columns=(
        columns.NAME,
        Column("AttachRequired", "boolean", description="Whether volumes must be attached to nodes."),
        Column("PodInfoOnMount", "boolean", description="Whether the driver is told of the pod."),
        Column("StorageCapacity", "boolean", description="Whether the scheduler considers its capacity."),
        Column("TokenRequests", description="Audiences of the tokens the driver gets."),
        Column("RequiresRepublish", "boolean", description="Whether volumes are published again and again."),
        Column("Modes", description="Kinds of volumes the driver has."),
        columns.AGE,
    ),
    cells=_cells,
)
