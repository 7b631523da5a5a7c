"""StatefulSets. Source: pkg/apis/apps/validation/validation.go, pkg/registry/apps/statefulset/strategy.go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns, golang, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind
from pylet.api.object import Object, dig
from pylet.api.podspec import claimspec, template, warnings
from pylet.api.podspec.rolling import int_or_percent, is_zero

_COUNTS = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
_CHANGING = (
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
)
_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_KEPT_FOR_EVER = "a negative value retains all historical revisions; a value >= 0 is recommended"


class StatefulSetStrategy(template.TemplateStrategy):
    has_status = True
    names_pods = False
    new_status: ClassVar[Object] = {"replicas": 0, "availableReplicas": 0}

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        _drop_gated(obj["spec"], {})

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        _drop_gated(obj["spec"], old["spec"])
        super().prepare_update(obj, old, subresource)

    def name_problems(self, name: str) -> Sequence[str]:
        return names.dns_label(name)

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found = _spec(spec)
        for position, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            found += claimspec.validate(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{position}].spec")
        if spec.get("serviceName"):
            found += causes.each("spec.serviceName", spec["serviceName"], names.dns_label(spec["serviceName"]))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return _status(obj.get("status") or {}, old.get("status") or {})
        if obj["spec"] == old["spec"]:
            return ()
        found = _spec(obj["spec"])
        if _fixed(obj["spec"]) != _fixed(old["spec"]):
            found.append(causes.forbidden("spec", _FIXED))
        return found

    def odd(self, obj: Object) -> Sequence[str]:
        return [*super().odd(obj), *_lasting(obj["spec"])]

    def update_warnings(self, obj: Object, old: Object) -> Sequence[str]:
        return super().update_warnings(obj, old) or list(_lasting(obj["spec"]))


def _lasting(spec: Object) -> Iterator[str]:
    """What a user may regret beside the pods: warned of with every write."""
    for position, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        resources, at = dig(claim, "spec", "resources") or {}, f"spec.volumeClaimTemplates[{position}].resources"
        for name in ("requests", "limits"):
            yield from warnings.fractional(resources.get(name) or {}, f"{at}.{name}", ("storage",))
    if spec.get("revisionHistoryLimit", 0) < 0:
        yield f"spec.revisionHistoryLimit: {_KEPT_FOR_EVER}"


def _drop_gated(spec: Object, old: Object) -> None:
    """maxUnavailable lies behind a feature gate that is off; what has it already keeps it."""
    if dig(old, "updateStrategy", "rollingUpdate", "maxUnavailable") is None:
        rolling = dig(spec, "updateStrategy", "rollingUpdate")
        if rolling:
            rolling.pop("maxUnavailable", None)


def _fixed(spec: Object) -> Object:
    return {name: value for name, value in spec.items() if name not in _CHANGING}


def _spec(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    management = spec.get("podManagementPolicy") or ""
    if not management:
        found.append(causes.required("spec.podManagementPolicy"))
    elif management not in ("OrderedReady", "Parallel"):
        says = "must be 'OrderedReady' or 'Parallel'"
        found.append(causes.invalid("spec.podManagementPolicy", management, says))
    found += _update_strategy(spec.get("updateStrategy") or {})
    for name, policy in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).items():
        if policy not in ("Retain", "Delete"):
            where = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
            found.append(causes.not_supported(where, policy, ("Retain", "Delete")))
    found += template.not_negative(spec, "replicas", "minReadySeconds")
    found += template.not_negative(spec.get("ordinals") or {}, "start", field="spec.ordinals")
    claims = {dig(claim, "metadata", "name", default="") for claim in spec.get("volumeClaimTemplates") or ()}
    judged = {**spec, "template": _unnamed(spec.get("template") or {})}
    found += template.validate_replicated(judged, "StatefulSet", selected="statefulset", claims=claims)
    return found


def _unnamed(pod: Object) -> Object:
    """The template without what the controller says of each pod anyway: how it is called."""
    spec = {name: value for name, value in (pod.get("spec") or {}).items() if name not in ("hostname", "subdomain")}
    return {**pod, "spec": spec}


def _update_strategy(strategy: Object) -> list[Cause]:
    where, rolling = "spec.updateStrategy", strategy.get("rollingUpdate")
    match strategy.get("type") or "":
        case "":
            return [causes.required(where)]
        case "OnDelete":
            says = "only allowed for updateStrategy 'RollingUpdate'"
            return [] if rolling is None else [causes.invalid(f"{where}.rollingUpdate", rolling, says)]
        case "RollingUpdate":
            return _rolling(rolling or {}, f"{where}.rollingUpdate")
    shown = golang.inside("StatefulSetUpdateStrategy", strategy)
    return [causes.invalid(where, shown, "must be 'RollingUpdate' or 'OnDelete'")]


def _rolling(rolling: Object, field: str) -> list[Cause]:
    found = template.not_negative(rolling, "partition", field=field)
    most = rolling.get("maxUnavailable")
    if most is not None:
        found += int_or_percent(most, f"{field}.maxUnavailable")
        if is_zero(most):
            found.append(causes.invalid(f"{field}.maxUnavailable", most, "cannot be 0"))
    return found


def _status(status: Object, old: Object) -> list[Cause]:
    found = template.not_negative(status, *_COUNTS, "observedGeneration", "collisionCount", field="status")
    for name in _COUNTS[1:]:
        if status.get(name, 0) > status.get("replicas", 0):
            found.append(
                causes.invalid(f"status.{name}", status.get(name, 0), "cannot be greater than status.replicas")
            )
    available = status.get("availableReplicas", 0)
    if available > status.get("readyReplicas", 0):
        says = "cannot be greater than status.readyReplicas"
        found.append(causes.invalid("status.availableReplicas", available, says))
    return [*found, *template.collisions_grow(status, old)]


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        columns.age(obj, now),
        *columns.template_cells(spec)[:2],
    ]


KIND = Kind(
    group="apps",
    version="v1",
    name="StatefulSet",
    plural="statefulsets",
    definition="io.k8s.api.apps.v1.StatefulSet",
    short_names=("sts",),
    categories=("all",),
    subresources=("scale", "status"),
    strategy=StatefulSetStrategy(),
    columns=(
        columns.NAME,
        Column("Ready", description="Number of the pod with ready state"),
        columns.AGE,
        columns.CONTAINERS,
        columns.IMAGES,
    ),
    cells=_cells,
)
