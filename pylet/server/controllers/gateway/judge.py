"""What Gateways, their listeners and the routes on them are told. Pure; the agent's proxy decides by the same rules."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import datetime

from pylet.api.gateway import CONTROLLER, GROUP
from pylet.api.gateway.attachment import attach, parents_of
from pylet.api.gateway.listeners import Listener, listeners
from pylet.api.gateway.rules import backends_of, unsupported, wrong_with
from pylet.api.ingress import addresses_of
from pylet.api.kind import Kind
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, key_of
from pylet.client.view import View
from pylet.server.controllers.gateway.classes import condition, ours
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import Action, patch_status

_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----\s[A-Za-z0-9+/=\s]+-----END \1-----")
_ADDRESS = "IPAddress"


class Judge:
    """One look at everything."""

    def __init__(self, kinds: Mapping[str, Kind], view: View, now: datetime) -> None:
        self._kinds = kinds
        self._view = view
        self._now = now
        self._gateways = ours(view.select(kinds["gateways"]), view.select(kinds["gatewayclasses"]))
        self._grants = view.select(kinds["referencegrants"])
        self._listeners: dict[Key, list[Listener]] = {key_of(one): [] for one in self._gateways}
        for listener in listeners(self._gateways, self._grants):
            self._listeners[listener.gateway].append(listener)
        self._labels = {entry.key.name: entry.labels for entry in view.table(NAMESPACE).entries.values()}
        self._addresses = addresses_of(view.select(NODE))
        self._attached: dict[tuple[Key, str], int] = {}

    def statuses(self) -> list[Action]:
        """Routes first, whose number the listeners tell."""
        routes = [action for route in self._view.select(self._kinds["httproutes"]) for action in self._route(route)]
        return [*routes, *(action for gateway in self._gateways for action in self._gateway(gateway))]

    # ---- routes

    def _route(self, route: Object) -> Iterator[Action]:
        status = route.get("status") or {}
        before = status.get("parents") or []
        parents = [one for one in before if one["controllerName"] != CONTROLLER]
        for ref, gateway in parents_of(route):
            if gateway not in self._listeners:
                continue
            outcome = attach(route, ref, self._listeners[gateway], self._labels)
            hung = {(gateway, one.listener.name) for one in outcome.attached}
            for key in hung:
                self._attached[key] = self._attached.get(key, 0) + 1
            said: Object = next((one for one in before if one["parentRef"] == ref and one not in parents), {})
            reason, message = self._unresolved(route)
            why = unsupported(route) if outcome.reason == "UnsupportedValue" else ""
            conditions = with_condition(
                said.get("conditions") or (),
                condition(route, "Accepted", outcome.reason, why, is_true=bool(outcome.attached)),
                self._now,
            )
            fresh = condition(route, "ResolvedRefs", reason or "ResolvedRefs", message, is_true=not reason)
            conditions = with_condition(conditions, fresh, self._now)
            parents.append({"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions})
        yield from patch_status(self._kinds["httproutes"], route, {**status, "parents": parents})

    def _unresolved(self, route: Object) -> tuple[str, str]:
        namespace = route["metadata"]["namespace"]
        for rule in route["spec"].get("rules") or ():
            for ref in backends_of(rule):
                wrong = wrong_with(
                    ref, route["kind"], namespace, self._grants, lambda key: self._view.get(SERVICE, key)
                )
                if wrong[0]:
                    return wrong
        return "", ""

    # ---- Gateways

    def _gateway(self, gateway: Object) -> Iterator[Action]:
        status, own = gateway.get("status") or {}, self._listeners[key_of(gateway)]
        before = {one["name"]: one for one in status.get("listeners") or ()}
        told = [self._listener(gateway, one, before.get(one.name, {})) for one in own]
        asked = [one.get("value", "") for one in gateway["spec"].get("addresses") or ()]
        addresses = [one for one in self._addresses if not any(asked) or one in asked]
        conditions = status.get("conditions") or []
        for fresh in self._of_gateway(gateway, own, addresses):
            conditions = with_condition(conditions, fresh, self._now)
        wanted: Object = {**status, "conditions": conditions, "listeners": told}
        wanted["addresses"] = [{"type": _ADDRESS, "value": one} for one in addresses]
        yield from patch_status(self._kinds["gateways"], gateway, wanted)

    def _of_gateway(self, gateway: Object, own: list[Listener], addresses: list[str]) -> Iterator[Object]:
        spec = gateway["spec"]
        refused = ""
        if (spec.get("infrastructure") or {}).get("parametersRef"):
            refused = "InvalidParameters"
        elif any(one.get("type", _ADDRESS) != _ADDRESS for one in spec.get("addresses") or ()):
            refused = "UnsupportedAddress"
        elif own and all(one.refused for one in own):
            refused = "ListenersNotValid"
        partly = "ListenersNotValid" if any(one.refused for one in own) else "Accepted"
        yield condition(gateway, "Accepted", refused or partly, is_true=not refused)
        lacks = "Invalid" if refused else "" if addresses else "AddressNotAssigned"
        if not addresses and self._addresses:
            lacks = "AddressNotUsable"
        yield condition(gateway, "Programmed", lacks or "Programmed", is_true=not lacks)

    def _listener(self, gateway: Object, listener: Listener, before: Object) -> Object:
        has_conflict = listener.refused == "ProtocolConflict"
        lacks = "InvalidRouteKinds" if listener.has_invalid_kinds else self._without_certificate(listener)
        conditions = before.get("conditions") or []
        serves = not listener.refused and not self._without_certificate(listener) and listener.kinds
        programmed = "Programmed" if serves and self._addresses else "Pending" if serves else "Invalid"
        for fresh in (
            condition(gateway, "Accepted", listener.refused or "Accepted", is_true=not listener.refused),
            condition(gateway, "Conflicted", listener.refused if has_conflict else "NoConflicts", is_true=has_conflict),
            condition(gateway, "ResolvedRefs", lacks or "ResolvedRefs", is_true=not lacks),
            condition(gateway, "Programmed", programmed, is_true=programmed == "Programmed"),
        ):
            conditions = with_condition(conditions, fresh, self._now)
        return {
            "name": listener.name,
            "supportedKinds": [{"group": GROUP, "kind": kind} for kind in listener.kinds],
            "attachedRoutes": self._attached.get((listener.gateway, listener.name), 0),
            "conditions": conditions,
        }

    def _without_certificate(self, listener: Listener) -> str:
        """The reason why an HTTPS listener does not have all it names."""
        if listener.protocol != "HTTPS":
            return ""
        good = all(_is_certificate(self._view.get(SECRET, key)) for key in listener.certificates)
        return listener.lacks or ("" if good else "InvalidCertificateRef")


def _is_certificate(secret: Object | None) -> bool:
    """Whether it looks like one with its key; the proxies themselves look closer."""
    data = (secret or {}).get("data") or {}
    try:
        return all(_PEM.search(b64decode(data.get(name) or "")) for name in ("tls.crt", "tls.key"))
    except ValueError:
        return False
