"""What binding does to a pod. Source: pkg/registry/core/pod/storage/storage.go (BindingREST)."""

from __future__ import annotations

from pylet.api import causes
from pylet.api.errors import BadRequest, Conflict
from pylet.api.object import Object, condition_of
from pylet.client.view import Entry
from pylet.server.admission.interface import CREATE
from pylet.server.registry.judging import check_preconditions
from pylet.server.registry.metadata import place_in
from pylet.server.registry.request import Request
from pylet.server.registry.writing import Writer, private_copy

_SCHEDULED = {"type": "PodScheduled", "status": "True"}


async def bind(writer: Writer, request: Request, binding: Object, now: str, *, asked: Request) -> None:
    """`asked` is what admission sees, where the pod is not named by the URL. Raises: ApiError."""
    place_in(request.kind, binding["metadata"], request.key.namespace)
    check_binding(binding, request.key.name)
    await writer.admit(asked, CREATE, asked.kind, request.key, binding, None)

    def change(entry: Entry) -> Object:
        check_preconditions(request, binding["metadata"], entry)
        return set_condition(bound(private_copy(entry), binding), _SCHEDULED, now)

    await writer.put(request, change)


def bound(pod: Object, binding: Object) -> Object:
    """`pod` (private, changed in place) on the node that `binding` names. Raises: Conflict."""
    name = pod["metadata"]["name"]
    spec = pod["spec"]
    refused = ""
    if "deletionTimestamp" in pod["metadata"]:
        refused = f"pod {name} is being deleted, cannot be assigned to a host"
    elif spec.get("nodeName"):
        refused = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    elif spec.get("schedulingGates"):
        refused = f"pod {name} has non-empty .spec.schedulingGates"
    if refused:
        raise Conflict("", "pods/binding", name, refused)
    spec["nodeName"] = binding["target"]["name"]
    for field in ("annotations", "labels"):
        if added := binding["metadata"].get(field):
            pod["metadata"][field] = {**(pod["metadata"].get(field) or {}), **added}
    status = pod.setdefault("status", {})
    status.pop("nominatedNodeName", None)
    return pod


def check_binding(binding: Object, name: str) -> None:
    """Raises: BadRequest, where upstream ends in a 500 for what is wrong with a target."""
    if binding["metadata"].get("name") != name:
        raise BadRequest("name in URL does not match name in Binding object")
    target = binding.get("target") or {}
    found = []
    if target.get("kind") not in (None, "", "Node"):
        found.append(causes.not_supported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        found.append(causes.required("target.name"))
    if found:
        told = ", ".join(map(str, found))
        raise BadRequest(f"[{told}]" if len(found) > 1 else told)


def set_condition(pod: Object, condition: Object, now: str) -> Object:
    """`pod` (private, changed in place) with that condition; its transition time moves only when the status does."""
    status = pod.setdefault("status", {})
    conditions: list[Object] = status.setdefault("conditions", [])
    found = condition_of(pod, condition["type"])
    fresh = {**condition, "lastTransitionTime": now}
    if found is None:
        conditions.append({"lastProbeTime": None, **fresh})
        return pod
    if found.get("status") == condition["status"]:
        fresh["lastTransitionTime"] = found.get("lastTransitionTime", now)
    found.update(fresh)
    return pod
