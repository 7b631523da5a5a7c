"""What the scheduler and drivers write into the status of a ResourceClaim."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from pylet.api import causes, csi
from pylet.api.devices import parts
from pylet.api.devices.claims import configured, request_reference, requests_of
from pylet.api.devices.parts import validate_all
from pylet.api.errors import Cause
from pylet.api.object import Object, dig, is_terminating
from pylet.api.podspec.scheduling import validate_node_selector

_MOST_CONSUMERS = 256
_MOST_CONDITIONS = 8
_DATA_BYTES = 10 << 10
_SOURCES = ("FromClaim", "FromClass")
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID_LENGTHS = (32, 36, 38, 45)  # without dashes, as is, in braces, as a URN
_UUID_SAYS = (
    "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` "
    "with lowercase hexadecimal characters"
)


def drop_deallocated(obj: Object, old: Object) -> None:
    """What drivers said of devices that are allocated no longer goes with them."""
    if dig(old, "status", "allocation") is None or not obj["status"].get("devices"):
        return
    gone = _allocated(old) - _allocated(obj)
    kept = [device for device in obj["status"]["devices"] if device_id(device) not in gone]
    obj["status"]["devices"] = kept
    if not kept:
        del obj["status"]["devices"]


def status(obj: Object, old: Object) -> list[Cause]:
    now, before = obj.get("status") or {}, old.get("status") or {}
    consumers = now.get("reservedFor") or ()
    found = validate_all(
        consumers, "status.reservedFor", _consumer, most=_MOST_CONSUMERS, key=lambda one: one.get("uid", "")
    )
    devices = now.get("devices") or ()
    check = partial(_device, allocated=_allocated(obj))
    found += validate_all(devices, "status.devices", check, most=len(devices), key=device_id)
    if consumers and now.get("allocation") is None:
        says = "may not be specified when `allocated` is not set"
        found.append(causes.forbidden("status.reservedFor", says))
    elif is_terminating(obj) and any(one not in (before.get("reservedFor") or ()) for one in consumers):
        says = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        found.append(causes.forbidden("status.reservedFor", says))
    if before.get("allocation") is not None and now.get("allocation") is not None:
        return [*found, *causes.immutable("status.allocation", now["allocation"], before["allocation"])]
    if now.get("allocation") is not None:
        found += _allocation(now["allocation"], requests_of(obj["spec"].get("devices") or {}))
    return found


def device_id(of: Object) -> tuple[str, ...]:
    return tuple(of.get(name) or "" for name in ("driver", "pool", "device", "shareID"))


def _allocated(obj: Object) -> set[tuple[str, ...]]:
    return {device_id(result) for result in dig(obj, "status", "allocation", "devices", "results", default=())}


def _consumer(of: Object, where: str) -> list[Cause]:
    return [causes.required(f"{where}.{name}") for name in ("resource", "name", "uid") if not of.get(name)]


def _named(of: Object, where: str) -> list[Cause]:
    found = csi.driver_name(of.get("driver", ""), f"{where}.driver")
    found += parts.pool(of.get("pool", ""), f"{where}.pool")
    found += parts.label(of.get("device", ""), f"{where}.device")
    share = of.get("shareID")
    if share is not None and not _UUID.fullmatch(share):
        found.append(causes.invalid(f"{where}.shareID", share, _uuid_problem(share)))
    return found


def _uuid_problem(text: str) -> str:
    """As github.com/google/uuid words it, where that refuses the text; it takes other forms, too."""
    if len(text) not in _UUID_LENGTHS:
        return f"error validating uid: invalid UUID length: {len(text)}"
    return _UUID_SAYS if _UUID.search(text.lower()) else "error validating uid: invalid UUID format"


def _device(device: Object, where: str, allocated: set[tuple[str, ...]]) -> list[Cause]:
    found = _named(device, where)
    if device_id(device) not in allocated:
        shown = causes.Struct(zip(("Driver", "Pool", "Device", "ShareID"), device_id(device), strict=True))
        found.append(causes.invalid(where, shown, "must be an allocated device in the claim"))
    conditions = device.get("conditions") or ()
    if len(conditions) > _MOST_CONDITIONS:
        found.append(causes.too_many(f"{where}.conditions", len(conditions), _MOST_CONDITIONS))
    if device.get("data") is not None:
        found += parts.raw(device["data"], f"{where}.data", _DATA_BYTES)
    return found


def _allocation(allocation: Object, known: Mapping[str, set[str]]) -> list[Cause]:
    devices, where = allocation.get("devices") or {}, "status.allocation"
    found = validate_all(devices.get("results"), f"{where}.devices.results", partial(_result, known=known))
    config = partial(_config, known=known)
    found += validate_all(devices.get("config"), f"{where}.devices.config", config, most=2 * parts.MOST)
    if allocation.get("nodeSelector") is not None:
        found += validate_node_selector(allocation["nodeSelector"], f"{where}.nodeSelector")
    return found


def _result(result: Object, where: str, known: Mapping[str, set[str]]) -> list[Cause]:
    found = request_reference(result.get("request", ""), f"{where}.request", known)
    return [*found, *_named(result, where), *parts.binding(result, where)]


def _config(config: Object, where: str, known: Mapping[str, set[str]]) -> list[Cause]:
    source, field = config.get("source", ""), f"{where}.source"
    found: list[Cause] = []
    if not source:
        found.append(causes.required(field))
    elif source not in _SOURCES:
        found.append(causes.not_supported(field, source, _SOURCES))
    return [*found, *configured(config, where, known)]
