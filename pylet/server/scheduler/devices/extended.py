"""Extended resources that DeviceClasses stand for: where a node has no such resource of its own, a claim is made for
them that the pod does not name. Pure.

Source: upstream `plugins/dynamicresources/extendeddynamicresources.go`, KEP-5004.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pylet.api.kinds.deviceclass import KIND as CLASS
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.object import Object, controller_of, dig
from pylet.api.resources import OF_CLASS, is_claimable
from pylet.client.view import View
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.requests import amounts

ANNOTATION = "resource.kubernetes.io/extended-resource-claim"


@dataclass(frozen=True, slots=True)
class Extended:
    """The claim that is to be made (it has neither a name nor a uid of the API's yet), and which container's resource
    means which of its requests, as the pod's status tells it."""

    claim: Object
    mappings: Sequence[Object]


def classes(pod: Pending, view: View) -> dict[str, str]:
    """Of the resources that the pod asks for, those that a class stands for: of several the youngest."""
    asked = [name for name, amount in pod.requests.items() if amount and is_claimable(name)]
    if not asked:
        return {}
    by_age = sorted(view.select(CLASS), key=lambda each: each["metadata"]["name"], reverse=True)
    by_age.sort(key=lambda each: str(each["metadata"].get("creationTimestamp", "")))
    known = {dig(each, "spec", "extendedResourceName"): each["metadata"]["name"] for each in by_age}
    known |= {f"{OF_CLASS}{each['metadata']['name']}": each["metadata"]["name"] for each in by_age}
    return {name: known[name] for name in asked if name in known}


def claimed(classes_: Mapping[str, str], node: NodeInfo) -> dict[str, str]:
    """Those that have to be claimed on this node, which does not have them otherwise."""
    return {name: class_ for name, class_ in classes_.items() if not node.allocatable.get(name)}


def made_before(pod: Pending, view: View) -> Object | None:
    """The claim of an earlier try that did not bind the pod."""
    for claim in view.owned_by(CLAIM, pod.uid):
        marked = dig(claim, "metadata", "annotations", default={}).get(ANNOTATION) == "true"
        if marked and (controller_of(claim) or {}).get("uid") == pod.uid:
            return claim
    return None


def special(pod: Pending, classes_: Mapping[str, str]) -> Extended:
    """One claim for all these resources of the pod."""
    requests: list[Object] = []
    mappings: list[Object] = []
    for resource, class_ in sorted(classes_.items()):
        found, meant = _of_resource(pod, resource, class_)
        requests += found
        mappings += meant
    owner = {"apiVersion": "v1", "kind": "Pod", "name": pod.key.name, "uid": pod.uid, "controller": True}
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": "<extended-resources>",
            "namespace": pod.namespace,
            "uid": f"{pod.uid}{ANNOTATION}",
            "annotations": {ANNOTATION: "true"},
            "ownerReferences": [owner],
        },
        "spec": {"devices": {"requests": sorted(requests, key=lambda request: str(request["name"]))}},
    }
    return Extended(claim, mappings)


def _of_resource(pod: Pending, resource: str, class_: str) -> tuple[list[Object], list[Object]]:
    """Containers that run one after the other share one request, beside what those have that come later."""
    init, apps = pod.spec.get("initContainers") or [], pod.spec["containers"]
    containers = [*init, *apps]
    passing = [at for at, each in enumerate(init) if each.get("restartPolicy") != "Always"]
    lasting: dict[int, Object] = {}
    mappings: list[Object] = []
    for at, container in enumerate(containers):
        if at not in passing and (count := _count(container, resource)):
            lasting[at] = _request(at, container, resource, class_, count)
            mappings.append(_mapping(container, resource, lasting[at]["name"]))
    needs: list[tuple[int, Object]] = []
    shared: list[Object] = []
    for at in passing:
        container, missing = containers[at], _count(containers[at], resource)
        for later in (request for position, request in lasting.items() if position >= at):
            if missing <= 0:
                break
            shared.append(_mapping(container, resource, later["name"]))
            missing -= later["exactly"]["count"]
        if missing > 0:
            needs.append((missing, _request(at, container, resource, class_, missing)))
            shared.append(_mapping(container, resource, needs[-1][1]["name"]))
    most = max(needs, key=lambda need: need[0])[1] if needs else None
    if most is None:
        return [*lasting.values()], [*mappings, *shared]
    own = {request["name"] for _, request in needs}
    shared = [{**each, "requestName": most["name"]} if each["requestName"] in own else each for each in shared]
    return [most, *lasting.values()], [*mappings, *shared]


def _count(container: Object, resource: str) -> int:
    return amounts(dig(container, "resources", "requests")).get(resource, 0)


def _request(at: int, container: Object, resource: str, class_: str, count: int) -> Object:
    index = sorted(dig(container, "resources", "requests")).index(resource)
    exactly = {"deviceClassName": class_, "allocationMode": "ExactCount", "count": count}
    return {"name": f"container-{at}-request-{index}", "exactly": exactly}


def _mapping(container: Object, resource: str, request: str) -> Object:
    return {"containerName": container["name"], "resourceName": resource, "requestName": request}
