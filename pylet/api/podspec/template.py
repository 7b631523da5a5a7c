"""What the pod template of a workload must look like. Source: ValidatePodTemplateSpecForReplicaSet and its callers."""

from __future__ import annotations

from pylet.api import causes, names, podspec, selector
from pylet.api.errors import Cause
from pylet.api.object import Object

_NOT_NEGATIVE = "must be greater than or equal to 0"


def validate(template: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    for key, value in (meta.get("labels") or {}).items():
        found += causes.each(f"{field}.labels", key, names.qualified_name(key))
        found += causes.each(f"{field}.labels", value, names.label_value(value))
    for key in meta.get("annotations") or ():
        found += causes.each(f"{field}.annotations", key, names.qualified_name(key.lower()))
    found += podspec.validate(spec, f"{field}.spec")
    if spec.get("ephemeralContainers"):
        says = "ephemeral containers not allowed in pod template"
        found.append(causes.forbidden(f"{field}.spec.ephemeralContainers", says))
    return found


def validate_replicated(spec: Object) -> list[Cause]:
    """A Deployment's or ReplicaSet's selector and template, which must fit; its pods must restart for ever."""
    found: list[Cause] = []
    chosen, template = spec.get("selector"), spec.get("template") or {}
    if chosen is None:
        found.append(causes.required("spec.selector"))
    else:
        found += selector.validate_object(chosen, "spec.selector")
        if not chosen.get("matchLabels") and not chosen.get("matchExpressions"):
            found.append(causes.invalid("spec.selector", chosen, "empty selector is invalid for deployment"))
    labels = (template.get("metadata") or {}).get("labels") or {}
    try:
        matches = selector.from_object(chosen)
    except (ValueError, KeyError):
        return [*found, causes.invalid("spec.selector", chosen, "invalid label selector")]
    if not matches.is_everything and not matches(labels):
        says = "`selector` does not match template `labels`"
        found.append(causes.invalid("spec.template.metadata.labels", labels or None, says))
    found += validate(template, "spec.template")
    pod = template.get("spec") or {}
    if pod.get("restartPolicy") != "Always":
        where = "spec.template.spec.restartPolicy"
        found.append(causes.not_supported(where, pod.get("restartPolicy", ""), ("Always",)))
    if "activeDeadlineSeconds" in pod:
        says = "activeDeadlineSeconds in ReplicaSet is not Supported"
        found.append(causes.forbidden("spec.template.spec.activeDeadlineSeconds", says))
    return found


def not_negative(holder: Object, *fields: str, field: str = "spec") -> list[Cause]:
    return [
        causes.invalid(f"{field}.{name}", holder[name], _NOT_NEGATIVE) for name in fields if holder.get(name, 0) < 0
    ]
