"""ResourceSlices."""

from __future__ import annotations

import re
from functools import partial

from pylet.api import causes, csi, golang, names, quantity
from pylet.api.devices import parts
from pylet.api.devices.parts import validate_all
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec.scheduling import validate_node_selector

_MOST_DEVICES = 128
_MOST_DEVICES_WITH_EXTRAS = 64
_MOST_COUNTER_SETS = 8
_MOST_COUNTERS = 32
_MOST_CONSUMPTIONS = 2
_MOST_VALUES = 32
_MOST_TAINTS = 16
_MOST_OPTIONS = 10
_VALUE_BYTES = 64
_PLACES = ("nodeName", "nodeSelector", "allNodes")
_ONE_PLACE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_ONE_PLACE_EACH = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true "
    "in the ResourceSlice spec"
)
_NO_PLACE_EACH = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true "
    "in the ResourceSlice spec"
)
_NUMBER = r"(0|[1-9]\d*)"
_BEFORE = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = "[0-9a-zA-Z-]+"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_BEFORE}(\.{_BEFORE})*)?(\+{_BUILD}(\.{_BUILD})*)?", re.ASCII
)


def validate(spec: Object, old: Object | None = None) -> list[Cause]:
    found = csi.driver_name(spec.get("driver", ""), "spec.driver")
    pool = spec.get("pool") or {}
    found += parts.pool(pool.get("name", ""), "spec.pool.name")
    count, generation = pool.get("resourceSliceCount", 0), pool.get("generation", 0)
    if count <= 0:
        found.append(causes.invalid("spec.pool.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        says = "must be greater than or equal to zero"
        found.append(causes.invalid("spec.pool.generation", generation, says))
    if old is not None:
        found += causes.immutable("spec.pool.name", pool.get("name"), (old.get("pool") or {}).get("name"))
        for name in ("driver", "nodeName"):
            found += causes.immutable(f"spec.{name}", spec.get(name), old.get(name))
    found += _place(spec)
    if spec.get("sharedCounters") and spec.get("devices"):
        found.append(causes.invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    before = {device.get("name"): device for device in (old or {}).get("devices") or ()}
    devices = spec.get("devices") or ()
    extras = any(device.get("taints") or device.get("consumesCounters") for device in devices)
    check = partial(_device, before=before, placed_each=spec.get("perDeviceNodeSelection") is True)
    most = _MOST_DEVICES_WITH_EXTRAS if extras else _MOST_DEVICES
    found += validate_all(devices, "spec.devices", check, most=most, key=lambda one: one.get("name", ""))
    counters = spec.get("sharedCounters")
    return [
        *found,
        *validate_all(
            counters,
            "spec.sharedCounters",
            partial(_counters, name_field="name", most=_MOST_COUNTERS),
            most=_MOST_COUNTER_SETS,
            key=lambda one: one.get("name", ""),
        ),
    ]


def _place(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    chosen = _chosen(spec, "spec", found, "must be either unset or set to a non-empty string")
    terms = (spec.get("nodeSelector") or {}).get("nodeSelectorTerms")
    if "nodeSelector" in spec and len(terms or ()) != 1:
        says = "must have exactly one node selector term"
        told = [golang.inside("NodeSelectorTerm", term) for term in terms] if terms is not None else None
        found.append(causes.invalid("spec.nodeSelector.nodeSelectorTerms", told, says))
    each = spec.get("perDeviceNodeSelection")
    if each:
        chosen.append("`perDeviceNodeSelection`")
    elif each is not None:
        says = "must be either unset or set to true"
        found.append(causes.invalid("spec.perDeviceNodeSelection", each, says))
    if not chosen:
        found.append(causes.required("spec", _ONE_PLACE))
    elif len(chosen) > 1:
        shown = "{" + ", ".join(chosen) + "}"
        found.append(causes.invalid("spec", shown, f"{_ONE_PLACE}, but multiple fields are set"))
    return found


def _chosen(of: Object, where: str, found: list[Cause], empty_says: str) -> list[str]:
    """The fields that say where devices are; what is wrong with each goes to `found`."""
    chosen: list[str] = []
    node, wanted, everywhere = (of.get(name) for name in _PLACES)
    if node:
        chosen.append("`nodeName`")
        found += causes.each(f"{where}.nodeName", node, names.dns_subdomain(node))
    elif node is not None:
        found.append(causes.invalid(f"{where}.nodeName", node, empty_says))
    if wanted is not None:
        chosen.append("`nodeSelector`")
        found += validate_node_selector(wanted, f"{where}.nodeSelector")
    if everywhere:
        chosen.append("`allNodes`")
    elif everywhere is not None:
        says = "must be either unset or set to true"
        found.append(causes.invalid(f"{where}.allNodes", everywhere, says))
    return chosen


def _device(device: Object, where: str, before: dict[str, Object], placed_each: bool) -> list[Cause]:
    found = parts.label(device.get("name", ""), f"{where}.name")
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    total = len(attributes) + len(capacity)
    if total > _MOST_VALUES:
        says = f"the total number of attributes and capacities must not exceed {_MOST_VALUES}"
        found.append(causes.invalid(where, total, says))
    for name, attribute in attributes.items():
        found += parts.qualified(name, f"{where}.attributes")
        found += _attribute(attribute, f"{where}.attributes[{name}]")
    several = device.get("allowMultipleAllocations") is True
    for name, amount in capacity.items():
        found += parts.qualified(name, f"{where}.capacity")
        found += _capacity(amount, f"{where}.capacity[{name}]", several=several)
    had = before.get(device.get("name", ""))
    if had is None or had.get("taints") != device.get("taints"):
        found += validate_all(device.get("taints"), f"{where}.taints", parts.taint, most=_MOST_TAINTS)
    found += validate_all(
        device.get("consumesCounters"),
        f"{where}.consumesCounters",
        partial(_counters, name_field="counterSet", most=_MOST_COUNTERS),
        most=_MOST_CONSUMPTIONS,
        key=lambda one: one.get("counterSet", ""),
    )
    found += _device_place(device, where, placed_each=placed_each)
    return [*found, *parts.binding(device, where)]


def _device_place(device: Object, where: str, *, placed_each: bool) -> list[Cause]:
    if not placed_each:
        misplaced = any(device.get(name) is not None for name in _PLACES)
        return [causes.invalid(where, None, _NO_PLACE_EACH)] if misplaced else []
    found: list[Cause] = []
    chosen = _chosen(device, where, found, "must not be empty")
    if not chosen:
        found.append(causes.required(where, _ONE_PLACE_EACH))
    elif len(chosen) > 1:
        found.append(causes.invalid(where, "{" + ", ".join(chosen) + "}", _ONE_PLACE_EACH))
    return found


def _attribute(attribute: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    for name in ("string", "version"):
        value = attribute.get(name)
        if value is None:
            continue
        if name == "version" and not _VERSION.fullmatch(value):
            says = "must be a string compatible with semver.org spec 2.0.0"
            found.append(causes.invalid(f"{where}.version", value, says))
        if len(value) > _VALUE_BYTES:
            found.append(causes.too_long(f"{where}.{name}", _VALUE_BYTES))
    if len(attribute) != 1:
        shown = golang.inside("DeviceAttribute", attribute) if attribute else ""
        found.append(causes.invalid(where, shown, "exactly one value must be specified"))
    return found


def _counters(of: Object, where: str, name_field: str, most: int) -> list[Cause]:
    name, counters = of.get(name_field, ""), of.get("counters") or {}
    field = f"{where}.{name_field}"
    found = parts.label(name, field) if name else [causes.required(field)]
    if not counters:
        found.append(causes.required(f"{where}.counters"))
    elif len(counters) > most:
        found.append(causes.too_many(f"{where}.counters", len(counters), most))
    else:
        found += [cause for key in counters for cause in parts.label(key, f"{where}.counters")]
    return found


def _capacity(capacity: Object, where: str, *, several: bool) -> list[Cause]:
    policy, where = capacity.get("requestPolicy"), f"{where}.requestPolicy"
    if policy is None:
        return []
    if not several:
        return [causes.forbidden(where, "allowMultipleAllocations must be true")]
    values, range_ = policy.get("validValues") or [], policy.get("validRange")
    if values and range_ is not None:
        says = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
        return [causes.forbidden(where, says)]
    for name, given in (("validValues", values), ("validRange", range_)):
        if given and policy.get("default") is None:
            return [causes.required(f"{where}.default", f"required when {name} is defined")]
    if values:
        return _valid_values(values, policy["default"], capacity["value"], f"{where}.validValues")
    return [] if range_ is None else _valid_range(range_, policy["default"], capacity["value"], f"{where}.validRange")


def _valid_values(values: list[str], default: str, most: str, where: str) -> list[Cause]:
    found: list[Cause] = []
    for position in range(1, len(values)):
        if _is_less(values[position], values[position - 1]):
            says = "values must be sorted in ascending order"
            found.append(causes.invalid(f"{where}[{position}]", values[position], says))

    def option(value: str, field: str) -> list[Cause]:
        says = f"option is larger than capacity value: {most}"
        return [causes.invalid(field, value, says)] if _is_less(most, value) else []

    found += validate_all(values, where, option, most=_MOST_OPTIONS, key=lambda one: str(quantity.value_of(one)))
    if not any(quantity.milli_of(value) == quantity.milli_of(default) for value in values):
        says = "default value is not valid according to the requestPolicy"
        found.append(causes.invalid(where, default, says))
    return found


def _valid_range(range_: Object, default: str, most: str, where: str) -> list[Cause]:
    low, high, step = (range_.get(name) for name in ("min", "max", "step"))
    if low is None:
        return [causes.required(f"{where}.min", "required when validRange is defined")]
    wrong: list[tuple[str, str, str]] = []
    if _is_less(most, low):
        wrong.append(("min", low, f"min is larger than capacity value: {most}"))
    if _is_less(default, low):
        wrong.append(("min", default, f"default is less than min: {low}"))
    if high is not None:
        if _is_less(high, low):
            wrong.append(("max", low, f"min is larger than max: {high}"))
        if _is_less(most, high):
            wrong.append(("max", high, f"max is larger than capacity value: {most}"))
        if _is_less(high, default):
            wrong.append(("max", default, f"default is more than max: {high}"))
    if step is not None:
        least = quantity.parse(low)
        one = least._replace(nanos=least.nanos + quantity.parse(step).nanos)
        if _is_less(most, str(one)):
            wrong.append(("step", step, f"one step {one} is larger than capacity value: {most}"))
    for value in (default, high) if step is not None and quantity.value_of(step) else ():
        if value is not None and (quantity.value_of(value) - quantity.value_of(low)) % quantity.value_of(step):
            says = f"value is not a multiple of a given step ({step}) from ({low})"
            wrong.append(("step", value, says))
    return [causes.invalid(f"{where}.{name}", value, says) for name, value, says in wrong]


def _is_less(one: str, other: str) -> bool:
    return quantity.milli_of(one) < quantity.milli_of(other)
