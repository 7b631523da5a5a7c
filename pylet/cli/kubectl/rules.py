"""RBAC rules as kubectl lists them: one line per resource with all its verbs. Pure. Source: `pkg/util/rbac/rbac.go`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pylet.api.object import Object


@dataclass(frozen=True, slots=True)
class Line:
    """One resource, or one path; `name` "" stands for all names."""

    group: str
    resource: str
    name: str
    url: str
    verbs: tuple[str, ...]

    def cells(self) -> list[str]:
        plain, slash, sub = self.resource.partition("/")
        shown = f"{plain}.{self.group}" if self.group else plain
        return [shown + slash + sub, f"[{self.url}]", f"[{self.name}]", f"[{' '.join(self.verbs)}]"]

    def _rank(self) -> str:
        # Upstream sorts by the rule's debug text, which begins with its verbs.
        granted = f"{' '.join(self.verbs)}],APIGroups:[{self.group}],Resources:[{self.resource}]"
        return f"{granted},ResourceNames:[{self.name}],NonResourceURLs:[{self.url}],"


HEADERS = ("Resources", "Non-Resource URLs", "Resource Names", "Verbs")


def lines(rules: Iterable[Object]) -> list[Line]:
    """Each resource and name once, its verbs in the order they are granted; each path with each verb."""
    verbs: dict[tuple[str, str, str], dict[str, None]] = {}
    found: list[Line] = []
    for rule in rules:
        granted: Sequence[str] = rule.get("verbs") or ()
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or [""]:
                    verbs.setdefault((group, resource, name), {}).update(dict.fromkeys(granted))
        found += [Line("", "", "", url, (verb,)) for url in rule.get("nonResourceURLs") or () for verb in granted]
    found += [Line(*key, "", tuple(granted_)) for key, granted_ in verbs.items()]
    return sorted(found, key=Line._rank)
