"""A pod that names a ResourceClaimTemplate gets a ResourceClaim of its own; its status says which.

Allocated claims of a pod that came to its node without the scheduler are reserved for it.

Source: upstream `pkg/controller/resourceclaim/controller.go` (syncPod, handleClaim).
"""

from __future__ import annotations

from collections import Counter as Amounts
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial

from pylet.aio.prometheus import Counter, gauges
from pylet.api.errors import ApiError
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.kinds.resourceclaimtemplate import KIND as TEMPLATE
from pylet.api.object import Key, Object, annotations_of, controller_of, dig, is_terminating, uid_of
from pylet.api.podtemplate import is_finished
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Count, Create, Emit, Patch, Plan, Update, Watch

_ANNOTATION = "resource.kubernetes.io/pod-claim-name"
_EXTENDED = "resource.kubernetes.io/extended-resource-claim"
_CREATES = Counter("resourceclaim_controller_creates_total", "Claims asked for.", ("status", "admin_access"))
_LONGEST = 57
_MOST_HOLDERS = 256  # resource.k8s.io ResourceClaimReservedForMaxSize


def plan(key: Key, view: View, now: datetime) -> Plan:
    pod = view.get(POD, key)
    if pod is None or is_terminating(pod) or is_finished(pod):
        return NOTHING
    told = {each["name"]: each for each in dig(pod, "status", "resourceClaimStatuses", default=())}
    statuses = dict(told)
    actions: list[Action] = []
    for wanted in pod["spec"].get("resourceClaims") or ():
        name = wanted.get("resourceClaimTemplateName")
        if name is None or _is_there(told.get(wanted["name"]), key.namespace, view):
            continue
        made = _made_for(pod, wanted["name"], view)
        if made is not None:
            statuses[wanted["name"]] = {"name": wanted["name"], "resourceClaimName": made["metadata"]["name"]}
            continue
        template = view.get(TEMPLATE, Key(key.namespace, name))
        if template is None:
            why = f'resource claim template "{name}": resourceclaimtemplate.resource.k8s.io "{name}" not found'
            actions.append(_failed(pod, wanted["name"], why))
        else:
            claim = _claim(pod, wanted["name"], template["spec"])
            counted = Count(_CREATES, ("success", _admin_access(claim)))
            actions += (Create(CLAIM, claim, refused=partial(_refused, pod, wanted["name"], claim)), counted)
    if statuses != told:
        patch = {"metadata": {"uid": uid_of(pod)}, "status": {"resourceClaimStatuses": list(statuses.values())}}
        actions.append(Patch(POD, key, patch, "status"))
    if pod["spec"].get("nodeName"):
        actions += _reserve(pod, statuses, view)
    return Plan(tuple(actions)) if actions else NOTHING


def _reserve(pod: Object, statuses: Mapping[str, Object], view: View) -> Iterator[Action]:
    namespace = pod["metadata"]["namespace"]
    for wanted in pod["spec"].get("resourceClaims") or ():
        name = wanted.get("resourceClaimName") or statuses.get(wanted["name"], {}).get("resourceClaimName")
        claim = view.get(CLAIM, Key(namespace, name or ""))
        holders = dig(claim or {}, "status", "reservedFor", default=[])
        if claim is None or dig(claim, "status", "allocation") is None or len(holders) >= _MOST_HOLDERS:
            continue
        if uid_of(pod) not in (holder["uid"] for holder in holders):
            holder = {"resource": "pods", "name": pod["metadata"]["name"], "uid": uid_of(pod)}
            status = {**claim["status"], "reservedFor": [*holders, holder]}
            yield Update(CLAIM, {**claim, "status": status}, "status")


def _is_there(told: Object | None, namespace: str, view: View) -> bool:
    return told is not None and view.get(CLAIM, Key(namespace, told.get("resourceClaimName", ""))) is not None


def _made_for(pod: Object, name: str, view: View) -> Object | None:
    for claim in view.owned_by(CLAIM, uid_of(pod)):
        owner = controller_of(claim)
        if owner is not None and owner["uid"] == uid_of(pod) and annotations_of(claim).get(_ANNOTATION) == name:
            return claim
    return None


def _claim(pod: Object, name: str, template: Object) -> Object:
    wanted, base = template.get("metadata") or {}, pod["metadata"]["name"]
    prefix = f"{base}-{name}-"
    if len(prefix) > _LONGEST:
        whole = len(prefix)
        prefix = f"{base[: len(base) * _LONGEST // whole]}-{name[: len(name) * _LONGEST // whole]}"
    owner = {"apiVersion": "v1", "kind": "Pod", "name": base, "uid": uid_of(pod), "controller": True}
    meta: Object = {
        "generateName": prefix,
        "namespace": pod["metadata"]["namespace"],
        "ownerReferences": [owner],
        "annotations": {**(wanted.get("annotations") or {}), _ANNOTATION: name},
    }
    if wanted.get("labels"):
        meta["labels"] = wanted["labels"]
    return {"apiVersion": CLAIM.api_version, "kind": CLAIM.name, "metadata": meta, "spec": template["spec"]}


def _refused(pod: Object, name: str, claim: Object, error: ApiError) -> tuple[Action, ...]:
    failed = Count(_CREATES, ("failure", _admin_access(claim)))
    return _failed(pod, name, f"create ResourceClaim : {error.message}"), failed


def _failed(pod: Object, name: str, why: str) -> Emit:
    return Emit(pod, "FailedResourceClaimCreation", f"PodResourceClaim {name}: {why}", "Warning")


def _admin_access(claim: Object) -> str:
    requests = dig(claim, "spec", "devices", "requests", default=())
    return str(any(dig(request, "exactly", "adminAccess") for request in requests)).lower()


def _metrics(view: View) -> Iterator[str]:
    yield from _CREATES.lines()
    found: Amounts[tuple[str, str, str]] = Amounts()
    for entry in view.table(CLAIM).entries.values():
        claim = entry.decoded()
        allocated = str(dig(claim, "status", "allocation") is not None).lower()
        said = annotations_of(claim)
        made_for = "resource_claim_template" if said.get(_ANNOTATION) else ""
        found[allocated, _admin_access(claim), "extended_resource" if said.get(_EXTENDED) == "true" else made_for] += 1
    values = [(dict(zip(("allocated", "admin_access", "source"), of, strict=True)), n) for of, n in found.items()]
    yield from gauges("resourceclaim_controller_resource_claims", "Claims.", values)


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    if b'"resourceClaims"' in entry.raw:
        yield entry.key


def _of_claim(entry: Entry, view: View) -> Iterable[Key]:
    owner = controller_of(entry.object) if entry.owner_uids else None
    if owner is not None and owner["kind"] == POD.name:
        yield Key(entry.key.namespace, owner["name"])
    if b'"allocation"' not in entry.raw:
        return
    named = f'"resourceClaimName":"{entry.key.name}"'.encode()
    for pod in view.table(POD).in_namespace(entry.key.namespace).values():
        if named in pod.raw:
            yield pod.key


def _of_template(entry: Entry, view: View) -> Iterable[Key]:
    named = f'"resourceClaimTemplateName":"{entry.key.name}"'.encode()
    for pod in view.table(POD).in_namespace(entry.key.namespace).values():
        if named in pod.raw:
            yield pod.key


CONTROLLER = Controller(
    "resource-claim-template",
    (Watch(POD, _of_pod), Watch(CLAIM, _of_claim), Watch(TEMPLATE, _of_template)),
    plan,
    speaker="resource_claim",
    metrics=_metrics,
)
