"""Certificate requests: approve what nodes may ask for themselves, sign what is approved, forget what is old.

A node's client certificate is approved for who may create `certificatesigningrequests/nodeclient` or, for himself,
`selfnodeclient`; a serving certificate for the node itself, for its own name and addresses alone (upstream leaves that
to others). Source: upstream `pkg/controller/certificates` (approver/sarapprove.go, signer, cleaner) and
`pkg/apis/certificates/helpers.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol

from pylet.api import timestamps
from pylet.api.kinds.certificatesigningrequest import KIND as CSR
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, condition_of, conditions_of, dig, key_of, uid_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Controller, Delete, Patch, Plan, Update, Watch, itself

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
_BASIC = ("digital signature", "key encipherment")
_NODE, _NODES = "system:node:", "system:nodes"
_LONGEST, _SHORTEST = timedelta(days=365), timedelta(minutes=10)
_DECIDED_KEPT, _PENDING_KEPT = timedelta(hours=1), timedelta(hours=24)


class Asked(Protocol):
    """What a certificate request asks for."""

    name: str
    organizations: tuple[str, ...]
    dns: tuple[str, ...]
    ips: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]


class Signer(Protocol):
    """The cluster's CA, which this room knows only by what it does."""

    def subject(self, request: bytes) -> Asked:
        """Raises: ValueError."""
        ...

    def sign(self, request: bytes, usages: Iterable[str], life: timedelta) -> bytes: ...


May = Callable[[Object, str], bool]
"""Whether who made a request (its spec) may create that subresource of certificatesigningrequests."""


def controller(signer: Signer, may: May) -> Controller:
    def plan(key: Key, view: View, now: datetime) -> Plan:
        request = view.get(CSR, key)
        if request is None:
            return NOTHING
        left = _kept_for(request, now)
        if left <= timedelta():
            return Plan((Delete(CSR, key, uid_of(request)),))
        if dig(request, "status", "certificate") or _has(request, "Denied") or _has(request, "Failed"):
            return Plan(again_after=left)
        try:
            asked = signer.subject(base64.b64decode(request["spec"]["request"]))
        except ValueError:
            return Plan(again_after=left)
        if _has(request, "Approved"):
            return _sign(request, asked, signer, now) or Plan(again_after=left)
        if (why := _approval(request, asked, view, may)) is None:
            return Plan(again_after=left)
        return Plan((Update(CSR, _with_condition(request, "Approved", "AutoApproved", why, now), "approval"),))

    return Controller("certificate", (Watch(CSR, itself), Watch(NODE, _pending_of)), plan)


def fault(signer: str, asked: Asked, usages: Iterable[str]) -> str:
    """Why the signer does not sign such a request; "" for one it signs."""
    given = set(usages)
    if signer == CLIENT:
        for usage in usages:
            if usage not in (*_BASIC, "client auth"):
                return f"invalid usage for client certificate: {usage}"
        return "" if "client auth" in given else "missing required usage for client certificate: client auth"
    if signer not in (KUBELET_CLIENT, KUBELET_SERVING):
        return ""
    is_client = signer == KUBELET_CLIENT
    purpose = "client auth" if is_client else "server auth"
    whole = sorted((*_BASIC, purpose))
    checks = (
        (asked.organizations != (_NODES,), "subject organization is not system:nodes"),
        (is_client and asked.dns, "DNS subjectAltNames are not allowed"),
        (not is_client and not asked.dns and not asked.ips, "DNS or IP subjectAltName is required"),
        (asked.emails, "Email subjectAltNames are not allowed"),
        (is_client and asked.ips, "IP subjectAltNames are not allowed"),
        (asked.uris, "URI subjectAltNames are not allowed"),
        (not asked.name.startswith(_NODE), "subject common name does not begin with system:node:"),
        (given not in (set(whole), {"digital signature", purpose}), f"usages did not match [{' '.join(whole)}]"),
    )
    return next((why for is_wrong, why in checks if is_wrong), "")


def _approval(request: Object, asked: Asked, view: View, may: May) -> str | None:
    """Why the request is approved; None when a person has to decide."""
    spec = request["spec"]
    signer, user = spec["signerName"], spec.get("username", "")
    if signer not in (KUBELET_CLIENT, KUBELET_SERVING) or fault(signer, asked, spec.get("usages") or ()):
        return None
    if signer == KUBELET_CLIENT:
        if user == asked.name and may(spec, "selfnodeclient"):
            return "Auto approving self kubelet client certificate after SubjectAccessReview."
        if may(spec, "nodeclient"):
            return "Auto approving kubelet client certificate after SubjectAccessReview."
    elif user == asked.name and _NODES in (spec.get("groups") or ()):
        node_name = asked.name.removeprefix(_NODE)
        node = view.get(NODE, Key("", node_name))
        own = {address["address"] for address in dig(node or {}, "status", "addresses", default=())}
        if set(asked.ips) <= own and set(asked.dns) <= {node_name, *own}:
            return "Auto approving kubelet serving certificate for the node's own name and addresses."
    return None


def _sign(request: Object, asked: Asked, signer: Signer, now: datetime) -> Plan | None:
    spec = request["spec"]
    if spec["signerName"] not in (CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY):
        return None
    usages = spec.get("usages") or ()
    if why := fault(spec["signerName"], asked, usages):
        failed = _with_condition(request, "Failed", "SignerValidationFailure", why, now)
        return Plan((Update(CSR, failed, "status"),))
    seconds = spec.get("expirationSeconds")
    life = _LONGEST if seconds is None else max(_SHORTEST, min(timedelta(seconds=seconds), _LONGEST))
    certificate = signer.sign(base64.b64decode(spec["request"]), usages, life)
    patch = {"status": {"certificate": base64.b64encode(certificate).decode()}}
    return Plan((Patch(CSR, key_of(request), patch, subresource="status"),))


def _kept_for(request: Object, now: datetime) -> timedelta:
    """How long the request stays yet."""
    created = request["metadata"]["creationTimestamp"]
    conditions = list(conditions_of(request))
    if not conditions:
        return _PENDING_KEPT - (now - timestamps.parse(created))
    is_issued = bool(dig(request, "status", "certificate"))
    ends = []
    for condition in conditions:
        kept = _PENDING_KEPT if condition["type"] == "Approved" and not is_issued else _DECIDED_KEPT
        ends.append(kept - (now - timestamps.parse(condition.get("lastUpdateTime") or created)))
    return min(ends)


def _has(request: Object, type_: str) -> bool:
    return condition_of(request, type_) is not None


def _with_condition(request: Object, type_: str, reason: str, message: str, now: datetime) -> Object:
    stamp = timestamps.format_time(now)
    condition = {
        "type": type_,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
    }
    return {**request, "status": {**(request.get("status") or {}), "conditions": [*conditions_of(request), condition]}}


def _pending_of(entry: Entry, view: View) -> Iterable[Key]:
    """A node whose addresses become known: its requests may be waiting for that."""
    user = f"{_NODE}{entry.key.name}"
    for request in view.table(CSR).entries.values():
        if request.object["spec"].get("username") == user and not dig(request.object, "status", "certificate"):
            yield request.key
