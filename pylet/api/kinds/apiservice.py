"""APIServices: which server serves a group and version."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, condition_of, conditions_of

_STATUSES = ("True", "False", "Unknown")


class APIServiceStrategy(Strategy):
    """Source: kube-aggregator pkg/apis/apiregistration/validation, pkg/registry/apiservice."""

    has_status = True
    status_keeps_metadata = True

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {}
        if obj["spec"].get("service") is None:
            local = {"type": "Available", "status": "True", "reason": "Local"}
            since = {"lastTransitionTime": obj["metadata"].get("creationTimestamp")}
            obj["status"] = {"conditions": [{**local, "message": "Local APIServices are always available", **since}]}

    def name_problems(self, name: str) -> Sequence[str]:
        return names.path_segment(name)

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        group, version = spec.get("group", ""), spec.get("version", "")
        found: list[Cause] = []
        wanted = f"{version}.{group}"
        says = f'must be `spec.version+"."+spec.group`: "{wanted}"'
        for field in ("generateName", "name"):
            name = obj["metadata"].get(field, "")
            if name and name != wanted and not names.path_segment(name):
                found.append(causes.invalid(f"metadata.{field}", name, says))
        if not group and version != "v1":
            says = "only v1 may have an empty group and it better be legacy kube"
            found.append(causes.required("spec.group", says))
        if group:
            found += causes.each("spec.group", group, names.dns_subdomain(group))
        found += causes.each("spec.version", version, names.dns_1035_label(version))
        for field, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
            if not 0 < spec.get(field, 0) <= most:
                says = f"must be positive and less than {most}"
                found.append(causes.invalid(f"spec.{field}", spec.get(field, 0), says))
        return [*found, *_service(spec)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource != "status":
            return self.validate(obj)
        return [
            causes.not_supported(f"status.conditions[{position}].status", condition.get("status", ""), _STATUSES)
            for position, condition in enumerate(conditions_of(obj))
            if condition.get("status") not in _STATUSES
        ]


def _service(spec: Object) -> list[Cause]:
    service, bundle, skips = spec.get("service"), spec.get("caBundle") or "", spec.get("insecureSkipTLSVerify", False)
    found: list[Cause] = []
    if service is None:
        if bundle:
            shown = f"{len(base64.b64decode(bundle))} bytes"
            found.append(causes.invalid("spec.caBundle", shown, "local APIServices may not have a caBundle"))
        if skips:
            says = "local APIServices may not have insecureSkipTLSVerify"
            found.append(causes.invalid("spec.insecureSkipTLSVerify", skips, says))
        return found
    for name in ("namespace", "name"):
        if not service.get(name):
            found.append(causes.required(f"spec.service.{name}"))
    port = service.get("port", 443)
    if problems := names.port_number(port):
        found.append(causes.invalid("spec.service.port", port, "port is not valid: " + ", ".join(problems)))
    if skips and bundle:
        says = "may not be true if caBundle is present"
        found.append(causes.invalid("spec.insecureSkipTLSVerify", skips, says))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    service = obj["spec"].get("service")
    available = condition_of(obj, "Available") or {}
    status, reason = available.get("status", "Unknown"), available.get("reason", "")
    return [
        obj["metadata"]["name"],
        f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local",
        status if status == "True" or not reason else f"{status} ({reason})",
        columns.age(obj, now),
    ]


KIND = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    name="APIService",
    plural="apiservices",
    definition="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    namespaced=False,
    categories=("api-extensions",),
    subresources=("status",),
    strategy=APIServiceStrategy(),
    columns=(
        columns.NAME,
        Column("Service", description="The Service that serves it, or Local."),
        Column("Available", description="Whether it can be reached."),
        columns.AGE,
    ),
    cells=_cells,
)
