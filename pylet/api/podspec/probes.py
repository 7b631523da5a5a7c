"""Probes and lifecycle hooks of containers."""

from __future__ import annotations

from typing import Any

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.object import Object

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_NEGATIVE = "must be greater than or equal to 0"


def validate(container: Object, grace_seconds: int, where: str) -> list[Cause]:
    found: list[Cause] = []
    for hook, handler in (container.get("lifecycle") or {}).items():
        if hook in ("postStart", "preStop"):
            found += _handler(handler, _HOOK_HANDLERS, f"{where}.lifecycle.{hook}")
            seconds = (handler.get("sleep") or {}).get("seconds", 0)
            is_only = not any(kind in handler for kind in _HOOK_HANDLERS[:-1])
            if "sleep" in handler and is_only and not 0 <= seconds <= grace_seconds:
                says = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})"
                found.append(causes.invalid(f"{where}.lifecycle.{hook}.sleep", seconds, says))
    for name in PROBES:
        if name in container:
            found += _probe(name, container[name], f"{where}.{name}")
    return found


def _probe(name: str, probe: Object, where: str) -> list[Cause]:
    found = _handler(probe, _PROBE_HANDLERS, where)
    found += [
        causes.invalid(f"{where}.{field}", probe[field], _NEGATIVE) for field in _COUNTS if probe.get(field, 0) < 0
    ]
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        found.append(causes.invalid(f"{where}.successThreshold", probe["successThreshold"], "must be 1"))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None:
        if name == "readinessProbe":
            says = "must not be set for readinessProbes"
            found.append(causes.invalid(f"{where}.terminationGracePeriodSeconds", grace, says))
        if grace <= 0:
            found.append(causes.invalid(f"{where}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return found


def _handler(handler: Object, kinds: tuple[str, ...], where: str) -> list[Cause]:
    found: list[Cause] = []
    given = [kind for kind in kinds if kind in handler]
    if not given:
        return [causes.required(where, "must specify a handler type")]
    for kind in given[1:]:
        found.append(causes.forbidden(f"{where}.{kind}", "may not specify more than 1 handler type"))
    first, action = given[0], handler[given[0]]
    match first:
        case "exec":
            if not action.get("command"):
                found.append(causes.required(f"{where}.exec.command"))
        case "httpGet":
            if action.get("scheme") not in ("HTTP", "HTTPS"):
                found.append(
                    causes.not_supported(f"{where}.httpGet.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
                )
            for header in action.get("httpHeaders") or ():
                name = header.get("name", "")
                found += causes.each(f"{where}.httpGet.httpHeaders", name, names.http_header_name(name))
            found += validate_port(action.get("port", 0), f"{where}.httpGet.port")
        case "tcpSocket":
            found += validate_port(action.get("port", 0), f"{where}.tcpSocket.port")
        case "grpc":
            found += validate_port(action.get("port", 0), f"{where}.grpc.port")
    return found


def validate_port(port: Any, field: str) -> list[Cause]:
    """A port's number, or the name of one."""
    problems = names.port_name(port) if isinstance(port, str) else names.port_number(port)
    return causes.each(field, port, problems)
