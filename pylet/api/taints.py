"""Taints and tolerations: which a pod bears. Source: `component-helpers/scheduling/corev1/helpers.go`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pylet.api.object import Object


def tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")
        case _:
            return False


def first_untolerated(
    taints: Iterable[Object], tolerations: Iterable[Object], effects: tuple[str, ...]
) -> Object | None:
    """The first taint with one of `effects` that no toleration covers."""
    tolerations = list(tolerations)
    for taint in taints:
        if taint["effect"] in effects and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None
