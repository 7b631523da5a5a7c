"""The Service that stands in front of a pod or workload: `expose`, and `run --expose`. Pure.

Source: kubectl `pkg/cmd/expose/expose.go`, `pkg/polymorphichelpers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pylet.api.object import Object, dig, labels_of
from pylet.cli.failure import Failure

_EXPOSABLE = {"Pod", "Service", "ReplicationController", "Deployment", "ReplicaSet"}


def selector_of(obj: Object) -> dict[str, str]:
    """Raises: Failure when the object has none that a Service could have."""
    kind = obj["kind"]
    intro = "error: couldn't retrieve selectors via --selector flag or introspection: "
    match kind:
        case "Pod":
            if not labels_of(obj):
                raise Failure(f"{intro}the pod has no labels and cannot be exposed")
            return dict(labels_of(obj))
        case "Service" | "ReplicationController":
            if not dig(obj, "spec", "selector"):
                raise Failure(f"{intro}the service has no pod selector set")
            return dict(obj["spec"]["selector"])
    selector = dig(obj, "spec", "selector", default={})
    if selector.get("matchExpressions"):
        raise Failure(f"{intro}couldn't convert expressions to map-based selector format")
    if not selector.get("matchLabels"):
        raise Failure(f"{intro}invalid {kind.lower()}: no selectors, therefore cannot be exposed")
    return dict(selector["matchLabels"])


def ports_of(obj: Object) -> list[tuple[int, str]]:
    """Port and protocol of everything the object listens on."""
    if obj["kind"] == "Service":
        return [(port["port"], port.get("protocol", "TCP")) for port in obj["spec"].get("ports") or ()]
    spec = obj["spec"] if obj["kind"] == "Pod" else obj["spec"]["template"]["spec"]
    return [
        (port["containerPort"], port.get("protocol", "TCP"))
        for container in spec["containers"]
        for port in container.get("ports") or ()
    ]


def refuse_unexposable(obj: Object, group: str) -> None:
    """Raises: Failure."""
    if obj["kind"] not in _EXPOSABLE:
        raise Failure(f"error: cannot expose a {obj['kind']}{f'.{group}' if group else ''}")


def service_ports(found: Sequence[tuple[int, str]], options: Mapping[str, Any]) -> list[Object]:
    """The ports of the Service. Raises: Failure."""
    protocols: dict[int, list[str]] = {}
    for port, protocol in found:
        protocols.setdefault(port, []).append(protocol)
    wanted = [_number(port) for port in options["port"].split(",")] if options["port"] else list(protocols)
    made = []
    for position, port in enumerate(wanted, 1):
        several = protocols.get(port, [])
        name = {"name": f"port-{position}"} if len(wanted) > 1 else {}
        if options["protocol"] or len(several) < 2:
            protocol = options["protocol"] or (several or ["TCP"])[0]
            made.append({**name, "port": port, "protocol": protocol})
        else:
            made += [
                {"name": f"port-{position}-{protocol.lower()}", "port": port, "protocol": protocol}
                for protocol in several
            ]
    target = options["target_port"]
    for port_ in made:
        port_["targetPort"] = (int(target) if target.isdigit() else target) if target else port_["port"]
    return made


def _number(port: str) -> int:
    try:
        return int(port)
    except ValueError:
        raise Failure(f'error: strconv.Atoi: parsing "{port}": invalid syntax') from None


def service(name: str, labels: Mapping[str, str], selector: Mapping[str, str], ports: Sequence[Object]) -> Object:
    meta: Object = {"name": name}
    if labels:
        meta["labels"] = dict(labels)
    spec: Object = {"selector": dict(selector)}
    if ports:
        spec["ports"] = list(ports)
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec, "status": {"loadBalancer": {}}}
