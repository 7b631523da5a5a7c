"""What a resource may be called, and where: in containers, limit ranges, quotas. Source: pkg/apis/core/helper."""

from __future__ import annotations

from typing import Any

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.quantity import NANOS, parse

NOT_NEGATIVE = "must be greater than or equal to 0"
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = frozenset(
    (
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    )
)
_QUOTA = _COUNTED.union(
    _COMPUTE, (f"{kind}.{name}" for kind in ("limits", "requests") for name in _COMPUTE), ("requests.storage",)
)
_STANDARD = _QUOTA | {"storage"}
OF_CLASS = "deviceclass.resource.kubernetes.io/"
_QUOTA_PREFIX = "requests."


def problems(name: str) -> names.Problems:
    """A name anything may have."""
    wrong = names.qualified_name(name)
    if not wrong and "/" not in name and name not in _STANDARD and not _is_quota_hugepages(name):
        return ("must be a standard resource type or fully qualified",)
    return wrong


def container_problems(name: str) -> names.Problems:
    """A name in a container's requests and limits."""
    wrong = problems(name)
    if "/" not in name:
        if name not in _COMPUTE and not is_hugepages(name):
            return (*wrong, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        return (*wrong, "doesn't follow extended resource name standard")
    return wrong


def quota_problems(name: str) -> names.Problems:
    wrong = problems(name)
    if "/" not in name and not is_quota(name):
        return (*wrong, "must be a standard resource for quota")
    return wrong


def is_hugepages(name: str) -> bool:
    return name.startswith("hugepages-")


def _is_quota_hugepages(name: str) -> bool:
    return name.startswith(("hugepages-", "requests.hugepages-"))


def is_quota(name: str) -> bool:
    return name in _QUOTA or _is_quota_hugepages(name)


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    if is_native(name) or name.startswith(_QUOTA_PREFIX):
        return False
    return not names.qualified_name(_QUOTA_PREFIX + name)


def is_claimable(name: str) -> bool:
    """Whether a DeviceClass may stand for it: it is extended, or named after a class."""
    return name.startswith(OF_CLASS) or is_extended(name)


def overcommits(name: str) -> bool:
    """Whether its limit may be more than its request."""
    return is_native(name) and not is_hugepages(name)


def amount(name: str, quantity: Any, field: str) -> list[Cause]:
    """ValidateResourceQuantityValue: not negative, and whole where it counts things."""
    nanos = parse(quantity).nanos
    found = [causes.invalid(field, quantity, NOT_NEGATIVE)] if nanos < 0 else []
    if (name in _COUNTED or is_extended(name)) and nanos % NANOS:
        found.append(causes.invalid(field, quantity, "must be an integer"))
    return found
