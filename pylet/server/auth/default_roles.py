"""The default roles and bindings of a cluster, read from `default_roles.txt`, whose head says how it is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pylet.api.object import Object

_GROUP = "rbac.authorization.k8s.io"
_AGGREGATE = f"{_GROUP}/aggregate-to-"
_TEXT = Path(__file__).with_suffix(".txt")


def objects() -> list[Object]:
    """Roles and bindings, of the cluster and of namespaces."""
    return list(_read(_TEXT.read_text()))


def _read(text: str) -> Iterator[Object]:
    rules: list[Object] = []
    for line in text.splitlines():
        words = line.split()
        match words:
            case ["role", name, *marks]:
                role = _role(name, marks)
                rules = role["rules"]
                yield role
            case ["controller", name]:
                full = f"system:controller:{name}"
                role = _role(full, [])
                rules = role["rules"]
                yield role
                yield _binding(full, full, [f"account=kube-system/{name}"])
            case ["binding", name, to, *subjects]:
                yield _binding(name, to, subjects)
            case [word, *_] if not word.startswith("#"):
                rules.append(_rule(words))


def _object(kind: str, name: str) -> Object:
    """A Role or RoleBinding where the name says a namespace, else one of the cluster."""
    namespace, slash, name = name.rpartition("/")
    meta: Object = {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
    if slash:
        return {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": {**meta, "namespace": namespace}}
    return {"apiVersion": f"{_GROUP}/v1", "kind": f"Cluster{kind}", "metadata": meta}


def _role(name: str, marks: list[str]) -> Object:
    role: Object = {**_object("Role", name), "rules": []}
    for mark in marks:
        match mark.split("="):
            case ["into", target]:
                role["metadata"]["labels"][_AGGREGATE + target] = "true"
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
    binding = _object("RoleBinding", name)
    kind = binding["kind"].removesuffix("Binding")
    binding["roleRef"] = {"apiGroup": _GROUP, "kind": kind, "name": role}
    return binding | ({"subjects": [_subject(*subject.split("=")) for subject in subjects]} if subjects else {})


def _subject(type_: str, name: str) -> Object:
    if type_ == "account":
        namespace, _, account = name.partition("/")
        return {"kind": "ServiceAccount", "namespace": namespace, "name": account}
    return {"apiGroup": _GROUP, "kind": type_.capitalize(), "name": name}
