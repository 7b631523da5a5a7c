"""The default roles and bindings of a cluster, read from `default_roles.txt`, whose head says how it is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pylet.api.object import Object

_GROUP = "rbac.authorization.k8s.io"
_AGGREGATE = f"{_GROUP}/aggregate-to-"
_TEXT = Path(__file__).with_suffix(".txt")


def objects() -> list[Object]:
    """ClusterRoles and ClusterRoleBindings, roles first."""
    return list(_read(_TEXT.read_text()))


def _read(text: str) -> Iterator[Object]:
    role: Object | None = None
    for line in text.splitlines():
        words = line.split()
        match words:
            case ["role", name, *marks]:
                if role is not None:
                    yield role
                role = _role(name, marks)
            case ["binding", name, to, *subjects]:
                if role is not None:
                    yield role
                role = None
                yield _binding(name, to, subjects)
            case [word, *_] if not word.startswith("#"):
                assert role is not None
                role["rules"].append(_rule(words))


def _meta(name: str) -> Object:
    return {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }


def _role(name: str, marks: list[str]) -> Object:
    meta = _meta(name)
    role: Object = {"apiVersion": f"{_GROUP}/v1", "kind": "ClusterRole", "metadata": meta, "rules": []}
    for mark in marks:
        match mark.split("="):
            case ["into", target]:
                meta["labels"][_AGGREGATE + target] = "true"
            case ["from", source]:
                labels = {"matchLabels": {_AGGREGATE + source: "true"}}
                role["aggregationRule"] = {"clusterRoleSelectors": [labels]}
    return role


def _rule(words: list[str]) -> Object:
    lists = [word.split(",") for word in words]
    if words[1] == "url":
        return {"verbs": lists[0], "nonResourceURLs": lists[2]}
    groups = ["" if group == "core" else group for group in lists[1]]
    rule: Object = {"verbs": lists[0], "apiGroups": groups, "resources": lists[2]}
    return {**rule, "resourceNames": lists[3]} if len(lists) > 3 else rule


def _binding(name: str, role: str, subjects: list[str]) -> Object:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _meta(name),
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [_subject(*subject.split("=")) for subject in subjects],
    }


def _subject(type_: str, name: str) -> Object:
    if type_ == "account":
        namespace, _, account = name.partition("/")
        return {"kind": "ServiceAccount", "namespace": namespace, "name": account}
    return {"apiGroup": _GROUP, "kind": type_.capitalize(), "name": name}
