"""The description of a Node, with the pods on it and what they ask for."""

from __future__ import annotations

from collections.abc import Mapping

from pylet.api import quantity
from pylet.api.errors import ApiError
from pylet.api.object import Object, conditions_of, dig
from pylet.cli.kubectl.describe.page import Page, when

_ROLE = "node-role.kubernetes.io/"
_INFO = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
    ("Kube-Proxy Version", "kubeProxyVersion"),
)
_BOUNDS = ("requests", "limits")
_ACTIVE = "spec.nodeName={},status.phase!=Succeeded,status.phase!=Failed"


def describe(page: Page, node: Object) -> None:
    meta, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    labels = meta.get("labels") or {}
    page.head(node, namespace=False)
    roles = sorted(key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE) and key != _ROLE)
    page.write(f"Roles:\t{','.join(roles) or '<none>'}")
    page.labelled(node)
    page.write(f"CreationTimestamp:\t{when(meta['creationTimestamp'])}")
    page.lines("Taints", [_taint(t) for t in sorted(spec.get("taints") or (), key=lambda t: (t["effect"], t["key"]))])
    page.write(f"Unschedulable:\t{'true' if spec.get('unschedulable') else 'false'}")
    _lease(page, meta["name"])
    _conditions(page, node)
    page.write("Addresses:")
    for address in status.get("addresses") or ():
        page.write(f"{address['type']}:\t{address['address']}", 1)
    for title in ("Capacity", "Allocatable"):
        if amounts := status.get(title.lower()):
            page.write(f"{title}:")
            for name, amount in sorted(amounts.items()):
                page.write(f"{name}:\t{amount}", 1)
    page.write("System Info:")
    info = status.get("nodeInfo") or {}
    for title, field in _INFO:
        if info.get(field) or field != "kubeProxyVersion":
            page.write(f"{title}:\t{info.get(field, '')}", 1)
    page.fields(spec, ("PodCIDR", "podCIDR"), ("PodCIDRs", "podCIDRs"), ("ProviderID", "providerID"))
    _pods(page, page.listed("/api/v1/pods", fieldSelector=_ACTIVE.format(meta["name"])), status)
    page.events(node, uid="")


def _taint(taint: Object) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _lease(page: Page, name: str) -> None:
    try:
        lease = page.api.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}")
    except ApiError as error:
        page.write(f"Lease:\tFailed to get lease: {error}")
        return
    spec = lease.get("spec") or {}
    page.write("Lease:")
    page.write(f"HolderIdentity:\t{spec.get('holderIdentity', '<unset>')}", 1)
    for title, field in (("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")):
        page.write(f"{title}:\t{when(spec[field]) if spec.get(field) else '<unset>'}", 1)


def _conditions(page: Page, node: Object) -> None:
    rows = []
    for c in conditions_of(node):
        times = [when(c.get(field)) for field in ("lastHeartbeatTime", "lastTransitionTime")]
        cells = [f"{cell} " for cell in (c["type"], c["status"], *times, c.get("reason", ""))]
        rows.append([*cells, c.get("message", "")])
    if rows:
        page.write("Conditions:")
        page.table(("Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"), rows)


def amounts(pod: Object, which: str, resource: str) -> int:
    """What a pod's containers ask for or are limited to: thousandths of CPUs, else whole units."""

    def of(container: Object) -> int:
        text = dig(container, "resources", which, resource, default="0")
        return quantity.milli_of(text) if resource == "cpu" else quantity.value_of(text)

    spec = pod["spec"]
    total = sum(of(container) for container in spec["containers"])
    restartable = 0
    highest = 0
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            restartable += of(container)
            highest = max(highest, restartable)
        else:
            highest = max(highest, restartable + of(container))
    overhead = of({"resources": {which: spec.get("overhead") or {}}}) if spec.get("overhead") else 0
    return max(total + restartable, highest) + overhead


def _share(amount: int, allocatable: Mapping[str, str], resource: str) -> str:
    text = allocatable.get(resource, "0")
    whole = quantity.milli_of(text) if resource == "cpu" else quantity.value_of(text)
    shown = quantity.canonical(f"{amount}m") if resource == "cpu" else _bytes(amount)
    return f"{shown} ({amount * 100 // whole if whole else 0}%)"


def _bytes(amount: int) -> str:
    for suffix, power in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if amount and amount % (1 << power) == 0:
            return f"{amount >> power}{suffix}"
    return str(amount)


def _pods(page: Page, pods: list[Object], status: Object) -> None:
    allocatable = status.get("allocatable") or status.get("capacity") or {}
    page.write(f"Non-terminated Pods:\t({len(pods)} in total)")
    rows = []
    for pod in pods:
        meta = pod["metadata"]
        cells = [
            _share(amounts(pod, which, name), allocatable, name) for name in ("cpu", "memory") for which in _BOUNDS
        ]
        rows.append([meta["namespace"], meta["name"], "", *cells, page.age(meta["creationTimestamp"])])
    page.table(("Namespace", "Name", "", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age"), rows)
    page.write("Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)")
    names = ["cpu", "memory", "ephemeral-storage"]
    names += sorted(name for name in allocatable if name.startswith("hugepages-"))
    totals = [
        [name, *(_share(sum(amounts(pod, which, name) for pod in pods), allocatable, name) for which in _BOUNDS)]
        for name in names
    ]
    page.table(("Resource", "Requests", "Limits"), totals)
