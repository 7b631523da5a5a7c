"""What the storage kinds check alike, and what an attachment is called.

Source: pkg/apis/storage/validation, core ValidateCSIDriverName.
"""

from __future__ import annotations

import hashlib

from pylet.api import causes, names
from pylet.api.errors import Cause

_NAME_BYTES = 63
_PARAMETERS = 512
_PARAMETER_BYTES = 256 << 10


def attachment_name(handle: str, driver: str, node: str) -> str:
    """The VolumeAttachment of a volume on a node. Source: pkg/volume/csi/csi_attacher.go, getAttachmentName."""
    return f"csi-{hashlib.sha256(f'{handle}{driver}{node}'.encode()).hexdigest()}"


def driver_name(name: str, field: str) -> list[Cause]:
    if not name:
        return [causes.required(field)]
    found = [causes.too_long(field, _NAME_BYTES)] if len(name) > _NAME_BYTES else []
    return [*found, *causes.each(field, name, names.dns_subdomain(name.lower()))]


def provisioner(name: str, field: str) -> list[Cause]:
    return causes.each(field, name.lower(), names.qualified_name(name.lower())) if name else [causes.required(field)]


def parameters(given: dict[str, str], field: str, *, may_be_empty: bool = True) -> list[Cause]:
    if len(given) > _PARAMETERS:
        return [causes.too_long(field, _PARAMETERS)]
    found = [causes.invalid(field, key, "field can not be empty.") for key in given if not key]
    if sum(len(key.encode()) + len(value.encode()) for key, value in given.items()) > _PARAMETER_BYTES:
        found.append(causes.too_long(field, _PARAMETER_BYTES))
    if not may_be_empty and not given:
        found.append(causes.required(field, "must contain at least one key/value pair"))
    return found
