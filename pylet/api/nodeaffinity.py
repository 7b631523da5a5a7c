"""Node selector terms: which nodes a pod's nodeSelector and node affinity allow. Pure.

Source: upstream `component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pylet.api.object import Object, dig


def allows(pod_spec: Object, name: str, labels: Mapping[str, str]) -> bool:
    """Whether nodeSelector and required node affinity allow the node of that name with these labels."""
    wanted = pod_spec.get("nodeSelector")
    if wanted and not wanted.items() <= labels.items():
        return False
    required = dig(pod_spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or matches_any(required.get("nodeSelectorTerms") or (), name, labels)


def matches_any(terms: Iterable[Object], name: str, labels: Mapping[str, str]) -> bool:
    """Terms are alternatives; an empty term matches nothing."""
    return any(matches_term(term, name, labels) for term in terms)


def matches_term(term: Object, name: str, labels: Mapping[str, str]) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_matches(e, labels.get(e["key"])) for e in expressions) and all(
        _matches(field, name if field["key"] == "metadata.name" else None) for field in fields
    )


def node_names(terms: Iterable[Object]) -> frozenset[str] | None:
    """The nodes that terms name by `metadata.name`; None when one of them names none, so that any node may match."""
    found: set[str] = set()
    for term in terms:
        named = [
            set(field.get("values") or ())
            for field in term.get("matchFields") or ()
            if field["key"] == "metadata.name" and field["operator"] == "In"
        ]
        if not named:
            return None
        found |= set.intersection(*named)
    return frozenset(found) if terms else None


def _matches(expression: Object, value: str | None) -> bool:
    return _OPERATORS[expression["operator"]](value, expression.get("values") or [])


def _compares(value: str | None, values: list[str], is_so: Callable[[int, int], bool]) -> bool:
    try:
        return value is not None and is_so(int(value), int(values[0]))
    except (ValueError, IndexError):
        return False


_OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
    "Gt": lambda value, values: _compares(value, values, int.__gt__),
    "Lt": lambda value, values: _compares(value, values, int.__lt__),
}
