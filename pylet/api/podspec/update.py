"""What may change in the spec of a pod that exists. Source: validation.go, ValidatePodUpdate."""

from __future__ import annotations

from pylet.api import causes, golang
from pylet.api.errors import Cause
from pylet.api.object import Object

_INT32 = 2**31 - 1
_SAYS = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def changes(spec: Object, old: Object) -> list[Cause]:
    """What is wrong with going from `old` to `spec`."""
    found: list[Cause] = []
    for kind in ("containers", "initContainers"):
        if len(spec.get(kind) or ()) != len(old.get(kind) or ()):
            return [*found, causes.forbidden(f"spec.{kind}", "pod updates may not add or remove containers")]
        for position, container in enumerate(spec.get(kind) or ()):
            if not (container.get("image") or "").strip():
                found.append(causes.required(f"spec.{kind}[{position}].image"))
    found += _deadline(spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"))
    found += _tolerations(spec.get("tolerations") or [], old.get("tolerations") or [])
    gated = bool(old.get("schedulingGates"))
    gates = [gate for gate in spec.get("schedulingGates") or () if gate not in (old.get("schedulingGates") or ())]
    if gates:
        where = "spec.schedulingGates[0].name"
        found.append(
            causes.forbidden(where, f"only deletion is allowed, but found new scheduling gate '{gates[0].get('name')}'")
        )
    if gated:
        found += _gated_selector(spec.get("nodeSelector") or {}, old.get("nodeSelector") or {})
        found += _gated_affinity(_node_affinity(spec), _node_affinity(old))
    if (kept := _kept(spec, old, gated=gated)) != old:
        differs = golang.difference(golang.inside("PodSpec", old), golang.inside("PodSpec", kept))
        found.append(causes.forbidden("spec", f"{_SAYS}\n{differs}"))
    return found


def _deadline(seconds: int | None, old: int | None) -> list[Cause]:
    where = "spec.activeDeadlineSeconds"
    if seconds is None:
        says = "must not update from a positive integer to nil value"
        return [] if old is None else [causes.invalid(where, None, says)]
    if not 0 <= seconds <= _INT32:
        return [causes.invalid(where, seconds, f"must be between 0 and {_INT32}, inclusive")]
    if old is not None and old < seconds:
        return [causes.invalid(where, seconds, "must be less than or equal to previous value")]
    return []


def _tolerations(new: list[Object], old: list[Object]) -> list[Cause]:
    """Tolerations may come; of those there only tolerationSeconds may change."""

    def known(toleration: Object) -> Object:
        return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}

    kept = [known(toleration) for toleration in new]
    if all(known(toleration) in kept for toleration in old):
        return []
    says = "existing toleration can not be modified except its tolerationSeconds"
    return [causes.forbidden("spec.tolerations", says)]


def _gated_selector(new: Object, old: Object) -> list[Cause]:
    if all(new.get(key) == value for key, value in old.items()):
        return []
    says = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    return [causes.invalid("spec.nodeSelector", new, says)]


def _node_affinity(spec: Object) -> Object:
    affinity: Object = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return affinity


def _gated_affinity(new: Object, old: Object) -> list[Cause]:
    """A gated pod may ask for fewer nodes than before, never for others; source: validateNodeAffinityMutation."""
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    if required not in old:
        return []
    where = f"spec.affinity.nodeAffinity.{required}.nodeSelectorTerms"
    terms, before = (each.get(required, {}).get("nodeSelectorTerms") or [] for each in (new, old))
    if len(terms) != len(before):
        says = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [causes.invalid(where, terms, says)]
    says = "only additions are allowed (no mutations or deletions)"
    return [
        causes.invalid(f"{where}[{position}]", term, says)
        for position, term in enumerate(terms)
        if not _is_narrower(term, before[position])
    ]


def _is_narrower(term: Object, old: Object) -> bool:
    if not any(old.values()) and term != old:
        return False  # an empty term matches nothing
    return all(
        (term.get(name) or [])[: len(old.get(name) or ())] == (old.get(name) or [])
        for name in ("matchExpressions", "matchFields")
    )


def _kept(spec: Object, old: Object, *, gated: bool) -> Object:
    """`spec` with all that may change as it was."""
    kept = {**spec}
    for name in ("activeDeadlineSeconds", "tolerations", "schedulingGates", *(("nodeSelector",) if gated else ())):
        _take(name, old, kept)
    if old.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        _take("terminationGracePeriodSeconds", old, kept)
    if gated:
        _keep_node_affinity(kept, old)
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            kept[kind] = [{**container} for container in spec[kind]]
            for container, was in zip(kept[kind], old[kind], strict=True):
                _take("image", was, container)
    return kept


def _keep_node_affinity(kept: Object, old: Object) -> None:
    affinity, was = kept.get("affinity"), _node_affinity(old)
    if _node_affinity(kept) == was:
        return
    rest = {name: value for name, value in (affinity or {}).items() if name != "nodeAffinity"}
    if was:
        rest["nodeAffinity"] = old["affinity"]["nodeAffinity"]
    if rest or "affinity" in old:
        kept["affinity"] = rest
    else:
        del kept["affinity"]


def _take(name: str, source: Object, into: Object) -> None:
    """Have `into` say of that field what `source` says."""
    into.pop(name, None)
    if name in source:
        into[name] = source[name]
