"""GatewayClasses: whose they are, and what is said of ours. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pylet.api.gateway import CONTROLLER, GROUP
from pylet.api.gateway.listeners import ours
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.client.view import View
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import Action, patch_status

__all__ = ["condition", "ours", "own", "statuses"]

NAME = "pylet"
FEATURES = (
    "Gateway",
    "GatewayHTTPListenerIsolation",
    "GatewayPort8080",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
)


def own() -> Object:
    """The class whose Gateways the nodes themselves serve."""
    spec = {"controllerName": CONTROLLER}
    return {"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": NAME}, "spec": spec}


def statuses(kind: Kind, view: View, now: datetime) -> Iterator[Action]:
    for item in view.select(kind):
        if item["spec"]["controllerName"] == CONTROLLER:
            accepted = not item["spec"].get("parametersRef")
            before = item.get("status") or {}
            fresh = condition(item, "Accepted", "Accepted" if accepted else "InvalidParameters", is_true=accepted)
            conditions = with_condition(before.get("conditions") or (), fresh, now)
            features = [{"name": name} for name in FEATURES]
            yield from patch_status(kind, item, {**before, "conditions": conditions, "supportedFeatures": features})


def condition(obj: Object, type_: str, reason: str, message: str = "", *, is_true: bool) -> Object:
    """As the Gateway API writes them: with the generation they speak of."""
    return {
        "type": type_,
        "status": "True" if is_true else "False",
        "reason": reason,
        "message": message,
        "observedGeneration": obj["metadata"].get("generation", 1),
    }
