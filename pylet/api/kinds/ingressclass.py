"""IngressClasses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object
from pylet.api.references import domain_prefixed_path, validate_reference

_CONTROLLER_BYTES = 250
_SCOPES = ("Cluster", "Namespace")


class IngressClassStrategy(Strategy):
    """Source: pkg/apis/networking/validation, ValidateIngressClass."""

    has_generation = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        controller = obj["spec"].get("controller", "")
        found: list[Cause] = []
        if len(controller) > _CONTROLLER_BYTES:
            found.append(causes.too_long("spec.controller", _CONTROLLER_BYTES))
        found += domain_prefixed_path(controller, "spec.controller")
        parameters = obj["spec"].get("parameters")
        return found if parameters is None else [*found, *_parameters_wrong(parameters, "spec.parameters")]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        now, was = (each["spec"].get("controller", "") for each in (obj, old))
        changed = causes.immutable("spec.controller", now, was)
        return [*changed, *self.validate(obj)]


def _parameters_wrong(parameters: Object, where: str) -> list[Cause]:
    found = validate_reference(parameters, where)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        found.append(causes.required(f"{where}.scope"))
    elif scope not in _SCOPES:
        found.append(causes.not_supported(f"{where}.scope", scope, _SCOPES))
    elif scope == "Cluster" and namespace is not None:
        found.append(causes.forbidden(f"{where}.namespace", "`parameters.scope` is set to 'Cluster'"))
    elif scope == "Namespace" and namespace is None:
        found.append(causes.required(f"{where}.namespace", "`parameters.scope` is set to 'Namespace'"))
    elif namespace is not None:
        found += causes.each(f"{where}.namespace", namespace, names.dns_label(namespace))
    return found


_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def is_default(obj: Object) -> bool:
    """Whether Ingresses that name no class get this one."""
    return (obj["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"


def _parameters(of: Object | None) -> str:
    if of is None:
        return "<none>"
    kind = of.get("kind", "")
    return f"{kind}.{of['apiGroup']}/{of.get('name', '')}" if "apiGroup" in of else f"{kind}/{of.get('name', '')}"


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    name = obj["metadata"]["name"]
    return [
        f"{name} (default)" if is_default(obj) else name,
        spec.get("controller", ""),
        _parameters(spec.get("parameters")),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="IngressClass",
    plural="ingressclasses",
    definition="io.k8s.api.networking.v1.IngressClass",
    namespaced=False,
    strategy=IngressClassStrategy(),
    columns=(
        columns.NAME,
        Column("Controller", description="The controller that serves this class."),
        Column("Parameters", description="An object with more settings."),
        columns.AGE,
    ),
    cells=_cells,
)
