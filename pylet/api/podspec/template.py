"""What the pod template of a workload must look like. Source: ValidatePodTemplateSpecForReplicaSet and its callers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from pylet.api import causes, golang, names, podspec, selector
from pylet.api.errors import Cause
from pylet.api.kind import Strategy
from pylet.api.object import Object, dig
from pylet.api.podspec import notes, templatemeta, warnings

_SURPRISE = (
    "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended"
)
_NOT_NEGATIVE = "must be greater than or equal to 0"


class TemplateStrategy(Strategy):
    """Of a kind with a pod template, whose pods are warned of as pods are."""

    has_generation = True
    template_field: ClassVar[str] = "spec.template"
    names_pods: ClassVar[bool] = True

    def warnings(self, obj: Object) -> Sequence[str]:
        problems = names.dns_label(obj["metadata"].get("name", "")) if self.names_pods else ()
        found = [f"metadata.name: {_SURPRISE}: [{' '.join(problems)}]"] if problems else []
        return [*found, *self.odd(obj)]

    def update_warnings(self, obj: Object, old: Object) -> Sequence[str]:
        same = obj["metadata"].get("generation") == old["metadata"].get("generation")
        return () if same else self.odd(obj)

    def odd(self, obj: Object) -> Sequence[str]:
        """Beside the object's name."""
        return list(warnings.of(dig(obj, *self.template_field.split(".")) or {}, self.template_field))


def validate(template: Object, field: str, *, claims: Collection[str] = ()) -> list[Cause]:
    """`claims` name volumes that the pods have besides those of the template."""
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    if claims:
        kept = [volume for volume in spec.get("volumes") or () if volume.get("name") not in claims]
        spec = {
            **spec,
            "volumes": [*kept, *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims)],
        }
    found = templatemeta.validate(meta, field)
    if annotations := meta.get("annotations"):
        found += notes.validate(annotations, spec, f"{field}.annotations")
    found += podspec.validate(spec, f"{field}.spec")
    if spec.get("ephemeralContainers"):
        says = "ephemeral containers not allowed in pod template"
        found.append(causes.forbidden(f"{field}.spec.ephemeralContainers", says))
    return found


def validate_replicated(
    spec: Object,
    kind: str = "ReplicaSet",
    *,
    selected: str = "deployment",
    claims: Collection[str] = (),
    required: bool = True,
) -> list[Cause]:
    """A workload's selector and template, which must fit; its pods must restart for ever.

    `kind` and `selected` are upstream's words in messages; `claims` name volumes that come from claim templates.
    """
    found: list[Cause] = []
    chosen, template = spec.get("selector"), spec.get("template") or {}
    wrong = selector.validate_object(chosen, "spec.selector")
    if chosen is None:
        found += [causes.required("spec.selector")] if required else []
    else:
        found += wrong
        if not chosen.get("matchLabels") and not chosen.get("matchExpressions"):
            found.append(causes.invalid("spec.selector", {}, f"empty selector is invalid for {selected}"))
    if not wrong:
        labels, matches = labels_of(template), selector.from_object(chosen)
        if not matches.is_everything and not matches(labels):
            says = "`selector` does not match template `labels`"
            shown = dig(template, "metadata", "labels")
            found.append(causes.invalid("spec.template.metadata.labels", shown, says))
    elif kind != "DaemonSet":
        says = "invalid label selector" if kind == "ReplicaSet" else ""
        return [*found, causes.invalid("spec.selector", golang.inside("LabelSelector", chosen or {}), says)]
    found += validate(template, "spec.template", claims=claims)
    return [*found, *restarts_always(template, kind)]


def labels_of(template: Object) -> dict[str, str]:
    labels: dict[str, str] = (template.get("metadata") or {}).get("labels") or {}
    return labels


def restarts_always(template: Object, kind: str) -> list[Cause]:
    found: list[Cause] = []
    pod = template.get("spec") or {}
    if pod.get("restartPolicy") != "Always":
        where = "spec.template.spec.restartPolicy"
        found.append(causes.not_supported(where, pod.get("restartPolicy", ""), ("Always",)))
    if "activeDeadlineSeconds" in pod:
        says = f"activeDeadlineSeconds in {kind} is not Supported"
        found.append(causes.forbidden("spec.template.spec.activeDeadlineSeconds", says))
    return found


def collisions_grow(status: Object, old: Object) -> list[Cause]:
    """A status' collisionCount, which only ever grows."""
    count = status.get("collisionCount", 0)
    if "collisionCount" not in old or count >= old["collisionCount"]:
        return []
    return [causes.invalid("status.collisionCount", count, "cannot be decremented")]


def not_negative(holder: Object, *fields: str, field: str = "spec") -> list[Cause]:
    """`field` is where `holder` lies, "" for the object itself."""
    prefix = f"{field}." if field else ""
    return [
        causes.invalid(f"{prefix}{name}", holder[name], _NOT_NEGATIVE) for name in fields if holder.get(name, 0) < 0
    ]
