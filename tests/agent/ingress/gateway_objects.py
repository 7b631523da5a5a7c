"""Objects of the Gateway API for tests, as short as they may be."""

from __future__ import annotations

from typing import Any

from pylet.agent.ingress.gateways import Asked
from pylet.api.gateway.listeners import listeners
from pylet.api.object import Object


def gateway(*found: Object, name: str = "gw", age: int = 1) -> Object:
    meta = {"namespace": "a", "name": name, "creationTimestamp": f"2026-01-0{age}T00:00:00Z"}
    return {"metadata": meta, "spec": {"gatewayClassName": "pylet", "listeners": list(found)}}


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **spec: Any) -> Object:
    return {"name": name, "port": port, "protocol": protocol, **spec}


def secure(name: str, secret: str, **spec: Any) -> Object:
    return listener(name, 443, "HTTPS", tls={"certificateRefs": [{"name": secret}]}, **spec)


def route(name: str, *rules: Object, age: int = 1, to: Any = ({"name": "gw"},), **spec: Any) -> Object:
    meta = {"namespace": "a", "name": name, "creationTimestamp": f"2026-01-0{age}T00:00:00Z"}
    return {"kind": "HTTPRoute", "metadata": meta, "spec": {"parentRefs": list(to), "rules": list(rules), **spec}}


def rule(to: str, *matches: Any, filters: Any = (), **fields: Any) -> Object:
    """`to` names Services with the port 80, and weights: `x`, `x=3 y=1`."""
    refs = [(service, weight or "1") for service, _, weight in (one.partition("=") for one in to.split())]
    backends = [{"name": service, "port": 80, "weight": int(weight)} for service, weight in refs]
    return {"matches": list(matches), "backendRefs": backends, "filters": list(filters), **fields}


def match(path: str = "/", type_: str = "PathPrefix", method: str = "", **headers: str) -> Object:
    """Headers by name, those that begin with `q_` as query parameters."""
    tests = {"headers": False, "queryParams": True}
    found: Object = {"path": {"type": type_, "value": path}}
    for field, is_query in tests.items():
        found[field] = [
            {"name": name.removeprefix("q_"), "value": value}
            for name, value in headers.items()
            if name.startswith("q_") == is_query
        ]
    return found | ({"method": method} if method else {})


def redirect(**spec: Any) -> Object:
    return {"type": "RequestRedirect", "requestRedirect": spec}


def rewrite(**spec: Any) -> Object:
    return {"type": "URLRewrite", "urlRewrite": spec}


def prefix(new: str) -> Object:
    return {"type": "ReplacePrefixMatch", "replacePrefixMatch": new}


def asked(gateways: list[Object], *routes: Object, grants: Any = (), labels: Any = None) -> Asked:
    return Asked(listeners(gateways, grants), routes, list(grants), labels or {})
