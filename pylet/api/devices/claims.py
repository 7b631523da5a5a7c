"""ResourceClaims, their templates and DeviceClasses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pylet.api import causes, names
from pylet.api.devices import parts
from pylet.api.devices.parts import validate_all
from pylet.api.errors import Cause
from pylet.api.object import Object

_MODES = ("All", "ExactCount")
_MOST_SUBREQUESTS = 8
_ONE_KIND = "exactly one of `exactly` or `firstAvailable` is required"
_NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"


def claim_spec(spec: Object, where: str) -> list[Cause]:
    devices, where = spec.get("devices") or {}, f"{where}.devices"
    known = requests_of(devices)
    found = validate_all(devices.get("requests"), f"{where}.requests", _request, key=_name)
    found += validate_all(devices.get("constraints"), f"{where}.constraints", partial(_constraint, known=known))
    return [*found, *validate_all(devices.get("config"), f"{where}.config", partial(configured, known=known))]


def class_spec(spec: Object) -> list[Cause]:
    found = validate_all(spec.get("selectors"), "spec.selectors", parts.selector)
    found += validate_all(spec.get("config"), "spec.config", parts.configuration)
    name = spec.get("extendedResourceName")
    if name is not None and not _is_extended(name):
        says = "must be a valid extended resource name"
        found.append(causes.invalid("spec.extendedResourceName", name, says))
    return found


def requests_of(devices: Object) -> dict[str, set[str]]:
    """Requests by name, each with the names of its subrequests."""
    return {
        _name(request): {_name(sub) for sub in request.get("firstAvailable") or ()}
        for request in devices.get("requests") or ()
    }


def request_reference(name: str, field: str, known: Mapping[str, set[str]]) -> list[Cause]:
    steps = name.split("/")
    if len(steps) > 2:
        return [causes.invalid(field, name, _NO_REQUEST)]
    found = [cause for step in steps for cause in parts.label(step, field)]
    if steps[0] not in known or not set(steps[1:]) <= known[steps[0]]:
        found.append(causes.invalid(field, name, _NO_REQUEST))
    return found


def configured(config: Object, where: str, known: Mapping[str, set[str]]) -> list[Cause]:
    found = _references(config, where, known)
    return [*found, *parts.configuration(config, where)]


def _name(of: Object) -> str:
    name: str = of.get("name", "")
    return name


def _references(of: Object, where: str, known: Mapping[str, set[str]]) -> list[Cause]:
    return validate_all(of.get("requests"), f"{where}.requests", partial(request_reference, known=known), key=str)


def _request(request: Object, where: str) -> list[Cause]:
    found = parts.label(_name(request), f"{where}.name")
    exactly, available = request.get("exactly"), request.get("firstAvailable") or ()
    if exactly is not None and available:
        found.append(causes.invalid(where, None, f"{_ONE_KIND}, but multiple fields are set"))
    elif available:
        field = f"{where}.firstAvailable"
        found += validate_all(available, field, _subrequest, most=_MOST_SUBREQUESTS, key=_name)
    elif exactly is not None:
        found += _exactly(exactly, f"{where}.exactly")
    else:
        found.append(causes.required(where, _ONE_KIND))
    return found


def _subrequest(request: Object, where: str) -> list[Cause]:
    return [*parts.label(_name(request), f"{where}.name"), *_exactly(request, where)]


def _exactly(request: Object, where: str) -> list[Cause]:
    chosen, field = request.get("deviceClassName", ""), f"{where}.deviceClassName"
    found = causes.each(field, chosen, names.dns_subdomain(chosen)) if chosen else [causes.required(field)]
    found += validate_all(request.get("selectors"), f"{where}.selectors", parts.selector)
    mode, count = request.get("allocationMode", ""), request.get("count", 0)
    if mode not in _MODES:
        found.append(causes.not_supported(f"{where}.allocationMode", mode, _MODES))
    elif mode == "All" and count:
        says = "must not be specified when allocationMode is 'All'"
        found.append(causes.invalid(f"{where}.count", count, says))
    elif mode == "ExactCount" and count <= 0:
        found.append(causes.invalid(f"{where}.count", count, "must be greater than zero"))
    for position, toleration in enumerate(request.get("tolerations") or ()):
        found += parts.toleration(toleration, f"{where}.tolerations[{position}]")
    return found


def _constraint(constraint: Object, where: str, known: Mapping[str, set[str]]) -> list[Cause]:
    found = _references(constraint, where, known)
    for name in ("matchAttribute", "distinctAttribute"):
        if constraint.get(name) is not None:
            return [*found, *parts.fully_qualified(constraint[name], f"{where}.{name}")]
    says = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
    return [*found, causes.required(where, says)]


def _is_extended(name: str) -> bool:
    domain, slash, _ = name.partition("/")
    native = not slash or domain == "kubernetes.io" or domain.endswith(".kubernetes.io")
    return not native and not name.startswith("requests.") and not names.qualified_name(f"requests.{name}")
