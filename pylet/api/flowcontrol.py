"""The priority levels and flow schemas every cluster has, made when asked for.

Source: apiserver pkg/apis/flowcontrol/bootstrap. The ones named in `MANDATORY` may not be changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pylet.api.object import Object

AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"
MANDATORY = ("catch-all", "exempt")
_API = "flowcontrol.apiserver.k8s.io/v1"
_SERVICE_ACCOUNT = "system:serviceaccount:kube-system:*"
_EVERYBODY = ("group system:unauthenticated", "group system:authenticated")
_LEVELS = (
    # name, shares, lendable percent, and of its queues: how many, hand size; without them it rejects
    ("catch-all", 5, 0, 0, 0),
    ("system", 30, 33, 64, 6),
    ("node-high", 40, 25, 64, 6),
    ("leader-election", 10, 0, 16, 4),
    ("workload-high", 40, 50, 128, 6),
    ("workload-low", 100, 90, 128, 6),
    ("global-default", 20, 50, 128, 6),
)
_SCHEMAS = (
    # name, level, precedence, distinguisher, subjects; what they ask for, if not everything
    ("exempt", "exempt", 1, "", ("group system:masters",)),
    ("probes", "exempt", 2, "", _EVERYBODY),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        ("user system:kube-controller-manager", "user system:kube-scheduler", _SERVICE_ACCOUNT),
    ),
    ("system-node-high", "node-high", 400, "ByUser", ("group system:nodes",)),
    ("system-nodes", "system", 500, "ByUser", ("group system:nodes",)),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", ("user system:kube-controller-manager",)),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", ("user system:kube-scheduler",)),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", (_SERVICE_ACCOUNT,)),
    ("service-accounts", "workload-low", 9000, "ByUser", ("group system:serviceaccounts",)),
    ("global-default", "global-default", 9900, "ByUser", _EVERYBODY),
    ("catch-all", "catch-all", 10000, "ByUser", _EVERYBODY),
)


def objects() -> Iterator[Object]:
    """All of them, levels first."""
    yield _made("PriorityLevelConfiguration", "exempt", {"type": "Exempt", "exempt": _shares(0, 0)})
    for name, shares, lendable, queues, hand in _LEVELS:
        queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": 50}
        response = {"type": "Queue", "queuing": queuing} if queues else {"type": "Reject"}
        limited = {**_shares(shares, lendable), "limitResponse": response}
        yield _made("PriorityLevelConfiguration", name, {"type": "Limited", "limited": limited})
    for name, level, precedence, distinguisher, subjects in _SCHEMAS:
        spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
        if distinguisher:
            spec["distinguisherMethod"] = {"type": distinguisher}
        yield _made("FlowSchema", name, {**spec, "rules": [{"subjects": _subjects(subjects), **_asked(name)}]})


def mandatory_spec(kind: str, name: str) -> Object | None:
    """The spec that an object of that kind and name must have; None for one that may be anything."""
    if name not in MANDATORY:
        return None
    specs = {(obj["kind"], obj["metadata"]["name"]): obj["spec"] for obj in objects()}
    spec: Object = specs[kind, name]
    return spec


def _made(kind: str, name: str, spec: Object) -> Object:
    meta = {"name": name, "annotations": {AUTO_UPDATE: "true"}}
    return {"apiVersion": _API, "kind": kind, "metadata": meta, "spec": spec}


def _shares(shares: int, lendable_percent: int) -> Object:
    return {"nominalConcurrencyShares": shares, "lendablePercent": lendable_percent}


def _subjects(written: Sequence[str]) -> list[Object]:
    found: list[Object] = []
    for text in written:
        kind, _, name = text.partition(" ")
        if name:
            found.append({"kind": kind.capitalize(), kind: {"name": name}})
        else:
            account = {"namespace": "kube-system", "name": "*"}
            found.append({"kind": "ServiceAccount", "serviceAccount": account})
    return found


def _asked(schema: str) -> Object:
    match schema:
        case "probes":
            return {"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]}
        case "system-leader-election":
            return {"resourceRules": [_leases("get", "create", "update")]}
        case "system-node-high":
            nodes = _resources(["*"], "", ["nodes", "nodes/status"])
            return {"resourceRules": [{**nodes, "clusterScope": True}, _leases("*")]}
    everything = {**_resources(["*"], "*", ["*"]), "clusterScope": True}
    return {"resourceRules": [everything], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}


def _leases(*verbs: str) -> Object:
    return _resources(list(verbs), "coordination.k8s.io", ["leases"])


def _resources(verbs: list[str], group: str, resources: list[str]) -> Object:
    return {"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]}
