"""Certificate requests: approve what nodes may ask for themselves, sign what is approved, forget what is old.

A node's client certificate is approved for whoever joins with a bootstrap token and for the node itself; a serving
certificate for the node itself, for its own name and addresses alone. Source: upstream `pkg/controller/certificates`
(approver/sarapprove.go, signer, cleaner) and `pkg/apis/certificates/helpers.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
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
_SIGNED = (CLIENT, KUBELET_CLIENT, KUBELET_SERVING)
_USAGES = {
    KUBELET_CLIENT: {"digital signature", "key encipherment", "client auth"},
    KUBELET_SERVING: {"digital signature", "key encipherment", "server auth"},
}
_NODE = "system:node:"
_NODES = "system:nodes"
_BOOTSTRAPPERS = "system:bootstrappers"
_LONGEST = timedelta(days=365)
_DECIDED_KEPT, _PENDING_KEPT = timedelta(hours=1), timedelta(hours=24)


class Signer(Protocol):
    """The cluster's CA, which this room knows only by what it does."""

    def subject(self, request: bytes) -> tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Common name, organizations, DNS names and IP addresses of a PEM request. Raises: ValueError."""
        ...

    def sign(self, request: bytes, usages: Iterable[str], life: timedelta) -> bytes: ...


def controller(signer: Signer) -> Controller:
    def plan(key: Key, view: View, now: datetime) -> Plan:
        request = view.get(CSR, key)
        if request is None:
            return NOTHING
        age = now - timestamps.parse(request["metadata"]["creationTimestamp"])
        denied = condition_of(request, "Denied") is not None or condition_of(request, "Failed") is not None
        decided = denied or bool(dig(request, "status", "certificate"))
        if (left := (_DECIDED_KEPT if decided else _PENDING_KEPT) - age) <= timedelta():
            return Plan((Delete(CSR, key, uid_of(request)),))
        if decided or request["spec"]["signerName"] not in _SIGNED:
            return Plan(again_after=left)
        if condition_of(request, "Approved") is not None:
            return _sign(request, signer)
        if (why := _approval(request, signer, view)) is None:
            return Plan(again_after=left)
        return Plan((Update(CSR, _with_condition(request, "Approved", "AutoApproved", why, now), "approval"),))

    return Controller("certificate", (Watch(CSR, itself), Watch(NODE, _pending_of)), plan)


def _approval(request: Object, signer: Signer, view: View) -> str | None:
    """Why the request is approved; None when a person has to decide."""
    spec = request["spec"]
    signer_name = spec["signerName"]
    try:
        name, organizations, dns, ips = signer.subject(base64.b64decode(spec["request"]))
    except ValueError:
        return None
    if organizations != (_NODES,) or not name.startswith(_NODE):
        return None
    if not set(spec.get("usages") or ()) <= _USAGES.get(signer_name, set()):
        return None
    user, groups = spec.get("username", ""), spec.get("groups") or []
    if signer_name == KUBELET_CLIENT and not dns and not ips:
        if user == name:
            return "Auto approving self kubelet client certificate after SubjectAccessReview."
        if _BOOTSTRAPPERS in groups:
            return "Auto approving kubelet client certificate after SubjectAccessReview."
    if signer_name == KUBELET_SERVING and user == name and _NODES in groups:
        node_name = name.removeprefix(_NODE)
        node = view.get(NODE, Key("", node_name))
        own = {address["address"] for address in dig(node or {}, "status", "addresses", default=())}
        if set(ips) <= own and set(dns) <= {node_name, *own}:
            return "Auto approving kubelet serving certificate for the node's own name and addresses."
    return None


def _sign(request: Object, signer: Signer) -> Plan:
    spec = request["spec"]
    life = min(timedelta(seconds=spec.get("expirationSeconds") or _LONGEST.total_seconds()), _LONGEST)
    certificate = signer.sign(base64.b64decode(spec["request"]), spec.get("usages") or (), life)
    patch = {"status": {"certificate": base64.b64encode(certificate).decode()}}
    return Plan((Patch(CSR, key_of(request), patch, subresource="status"),))


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
