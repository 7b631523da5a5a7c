"""What becomes of a role or binding that shall grant at least, or just, what another does. Pure.

Source: component-helpers `auth/rbac/reconciliation`, `auth/rbac/validation/policy_comparator.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from pylet.api.object import Object, annotations_of

_AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_PRINTED = {
    "subjects": {"Kind": "kind", "APIGroup": "apiGroup", "Name": "name", "Namespace": "namespace"},
    "rules": {
        "Verbs": "verbs",
        "APIGroups": "apiGroups",
        "Resources": "resources",
        "ResourceNames": "resourceNames",
        "NonResourceURLs": "nonResourceURLs",
    },
}


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The object as it shall be; `operation` is create, update, recreate or "" for none."""

    obj: Object
    operation: str = ""
    missing: list[Object] = field(default_factory=list)
    extra: list[Object] = field(default_factory=list)
    is_protected: bool = False

    def told(self, *, exactly: bool) -> Iterator[str]:
        """What was done, line by line, as kubectl prints it."""
        if not self.operation:
            return
        caveat = f", but object opted out ({_AUTOUPDATE}: false)" if self.is_protected else ""
        yield f"\treconciliation required {self.operation}{caveat}"
        what = grants_of(self.obj)
        for title, grants in (("missing {} added", self.missing), ("extra {} removed", self.extra if exactly else ())):
            if grants:
                yield f"\t{title.format(what)}:"
                yield from (f"\t\t{{{_printed(grant, what)}}}" for grant in grants)


def grants_of(obj: Object) -> str:
    """The field that says what a role or binding grants."""
    return "subjects" if "roleRef" in obj else "rules"


def reconciled(wanted: Object, current: Object | None, *, exactly: bool) -> Reconciled:
    """`exactly` takes away what `current` grants beyond what is wanted."""
    what = grants_of(wanted)
    goal = wanted.get(what) or []
    if current is None:
        return Reconciled(wanted, "create", missing=goal)
    is_protected = annotations_of(current).get(_AUTOUPDATE) == "false"
    if wanted.get("roleRef") != current.get("roleRef"):
        return Reconciled(wanted, "recreate", is_protected=is_protected)
    now = current.get(what) or []
    uncovered = _unnamed if what == "subjects" else _ungranted
    missing, extra = uncovered(goal, now), uncovered(now, goal)
    if "aggregationRule" in wanted and "aggregationRule" in current:
        extra = []  # those rules are a controller's
    then = _merged(wanted, current, exactly=exactly)
    if missing or (extra and exactly):
        then[what] = goal if exactly else [*now, *missing]
    return Reconciled(then, "update" if then != current else "", missing, extra, is_protected)


def _merged(wanted: Object, current: Object, *, exactly: bool) -> Object:
    """`current` with the labels, annotations and aggregated roles that are wanted."""
    meta = dict(current["metadata"])
    for each in ("labels", "annotations"):
        if merged := {**(wanted["metadata"].get(each) or {}), **(meta.get(each) or {})}:
            meta[each] = merged
    then = {**current, "metadata": meta}
    selectors, now = (_aggregated(obj) for obj in (wanted, current))
    if not wanted.get("aggregationRule"):
        then.pop("aggregationRule", None)
    elif exactly or not all(selector in now for selector in selectors):
        kept = [] if exactly else now
        then["aggregationRule"] = {
            "clusterRoleSelectors": [*kept, *(selector for selector in selectors if selector not in kept)]
        }
    return then


def _aggregated(obj: Object) -> list[Any]:
    return list((obj.get("aggregationRule") or {}).get("clusterRoleSelectors") or ())


def _unnamed(subjects: Iterable[Object], among: Sequence[Object]) -> list[Object]:
    found: list[Object] = []
    for subject in subjects:
        if subject not in (*among, *found):
            found.append(subject)
    return found


def _ungranted(rules: Iterable[Object], by: Iterable[Object]) -> list[Object]:
    from pylet.server.auth.rbac import Rule  # takes a while

    granting = [Rule.of(rule) for rule in by]
    return [
        piece for rule in rules for piece in _pieces(rule) if not any(each.covers(Rule.of(piece)) for each in granting)
    ]


def _pieces(rule: Object) -> Iterator[Object]:
    """The rule as rules of one verb, resource and name each, in the order they are written in."""
    groups, resources, verbs, names, urls = (
        rule.get(each) or () for each in ("apiGroups", "resources", "verbs", "resourceNames", "nonResourceURLs")
    )
    for group, resource, verb in product(groups, resources, verbs):
        piece = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
        yield from ({**piece, "resourceNames": [name]} for name in names) if names else (piece,)
    yield from ({"verbs": [verb], "nonResourceURLs": [url]} for url, verb in product(urls, verbs))


def _printed(grant: Object, what: str) -> str:
    """As Go prints the struct."""
    values = {title: grant.get(name) or "" for title, name in _PRINTED[what].items()}
    if what == "subjects":
        return " ".join(f"{title}:{value}" for title, value in values.items())
    return " ".join(f"{title}:[{' '.join(value)}]" for title, value in values.items())
