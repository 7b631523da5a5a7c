"""Who gets which names in a group: what a definition's status says of NamesAccepted and Established.

Source: apiextensions-apiserver pkg/controller/{status,establish,nonstructuralschema,apiapproval}.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pylet.api.causes import quoted
from pylet.api.errors import aggregated
from pylet.api.object import Object, dig, is_true
from pylet.api.timestamps import format_time

_APPROVED = "api-approved.kubernetes.io"
_PROTECTED = (".k8s.io", ".kubernetes.io")


def status_of(crd: Object, others: Iterable[Object], now: datetime) -> Object:
    """The status the definition should have, beside `others`: the names accepted for others of its group."""
    status = {**(crd.get("status") or {})}
    names, accepted = crd["spec"]["names"], status.get("acceptedNames") or {}
    conditions = list(status.get("conditions") or ())
    if accepted != names or not any(c["type"] == "NamesAccepted" for c in conditions):
        fresh, reason, message = _accepted(names, accepted, others)
        status["acceptedNames"] = fresh
        is_fine = reason == "NoConflicts"
        _set(conditions, "NamesAccepted", is_fine, reason, message, now)
        established = _find(conditions, "Established")
        if established is None:
            _set(conditions, "Established", False, "NotAccepted", "not all names are accepted", now)
    if _is_true(conditions, "NamesAccepted") and not _is_true(conditions, "Established"):
        if has_bad_ca(crd["spec"]):
            _set(conditions, "Established", False, "InvalidCABundle", "The conversion webhook CABundle is invalid", now)
        else:
            _set(conditions, "Established", True, "InitialNamesAccepted", "the initial names have been accepted", now)
    approval = approval_of(crd)
    if approval is not None:
        _set(conditions, "KubernetesAPIApprovalPolicyConformant", *approval, now)
    if not _is_true(conditions, "NamesAccepted"):
        conditions = [c for c in conditions if c["type"] != "NonStructuralSchema"]
    status["conditions"] = conditions
    return status


def is_protected(group: str) -> bool:
    return group in ("k8s.io", "kubernetes.io") or group.endswith(_PROTECTED)


def approval_of(crd: Object) -> tuple[bool, str, str] | None:
    """Whether a protected group is used with leave; None for other groups. Source: GetAPIApprovalState."""
    if not is_protected(crd["spec"]["group"]):
        return None
    told = (crd["metadata"].get("annotations") or {}).get(_APPROVED, "")
    if not told:
        says = (
            f"protected groups must have approval annotation {quoted(_APPROVED)}, "
            "see https://github.com/kubernetes/enhancements/pull/1111"
        )
        return False, "MissingAnnotation", says
    if told.startswith("unapproved"):
        return False, "UnapprovedAnnotation", f"not approved: {quoted(told)}"
    if "://" in told and told.partition("://")[2]:
        return True, "ApprovedAnnotation", f"approved in {told}"
    says = (
        f"protected groups must have approval annotation {quoted(_APPROVED)} with either a URL or a reason "
        'starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111'
    )
    return False, "InvalidAnnotation", says


def _accepted(names: Object, had: Object, others: Iterable[Object]) -> tuple[Object, str, str]:
    """The names it gets, and the reason and message of the condition; the last conflict is the one told."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for taken in others:
        resources |= {taken.get("plural", ""), taken.get("singular", ""), *(taken.get("shortNames") or ())}
        kinds |= {taken.get("kind", ""), taken.get("listKind", "")}
    fresh = {"kind": "", "plural": ""} | dict(had)
    reason, message = "NoConflicts", "no conflicts found"
    for field, word, used in (
        ("plural", "Plural", resources),
        ("singular", "Singular", resources),
        ("shortNames", "ShortNames", resources),
        ("kind", "Kind", kinds),
        ("listKind", "ListKind", kinds),
    ):
        wanted, mine = names.get(field), had.get(field)
        listed = wanted or [] if field == "shortNames" else [wanted or ""]
        own = set(mine or ()) if field == "shortNames" else {mine or ""}
        taken_names = [name for name in listed if name not in own and name in used]
        if wanted != mine and taken_names:
            reason = f"{word}Conflict"
            message = aggregated(f"{quoted(name)} is already in use" for name in taken_names)
        else:
            _put(fresh, field, wanted)
    _put(fresh, "categories", names.get("categories"))
    return fresh, reason, message


def _put(obj: Object, field: str, value: Any) -> None:
    if value:
        obj[field] = value
    else:
        obj.pop(field, None)


def has_bad_ca(spec: Object) -> bool:
    """Whether the conversion webhook's CA bundle cannot be read."""
    bundle = dig(spec, "conversion", "webhook", "clientConfig", "caBundle")
    if not bundle:
        return False
    try:
        return b"-----BEGIN CERTIFICATE-----" not in binascii.a2b_base64(bundle)
    except binascii.Error:
        return True


def _find(conditions: list[Object], type_: str) -> Object | None:
    return next((condition for condition in conditions if condition["type"] == type_), None)


def _is_true(conditions: list[Object], type_: str) -> bool:
    found = _find(conditions, type_)
    return found is not None and found["status"] == "True"


def _set(conditions: list[Object], type_: str, status: bool, reason: str, message: str, now: datetime) -> None:
    before = _find(conditions, type_)
    word = "True" if status else "False"
    changed = before is None or before["status"] != word
    fresh = {
        "type": type_,
        "status": word,
        "lastTransitionTime": format_time(now) if changed or before is None else before.get("lastTransitionTime"),
        "reason": reason,
        "message": message,
    }
    if before is None:
        conditions.append(fresh)
    else:
        conditions[conditions.index(before)] = fresh


def is_served(crd: Object) -> bool:
    """Whether requests for what it defines are answered."""
    return any(is_true(crd, type_) for type_ in ("NamesAccepted", "Established"))
