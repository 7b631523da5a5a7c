"""What a pod's spec means to the node: its containers in order, its restart rules, its QoS class. Pure.

Source: upstream `pkg/apis/core/v1/helper/qos/qos.go`, `pkg/kubelet/container/helpers.go`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import orjson

from pylet.api import quantity
from pylet.api.object import Object, dig
from pylet.api.restarts import restarts


def init_containers(pod: Object) -> list[Object]:
    return pod["spec"].get("initContainers") or []


def app_containers(pod: Object) -> list[Object]:
    containers: list[Object] = pod["spec"]["containers"]
    return containers


def ephemeral_containers(pod: Object) -> list[Object]:
    return pod["spec"].get("ephemeralContainers") or []


def all_containers(pod: Object) -> Iterator[Object]:
    yield from init_containers(pod)
    yield from app_containers(pod)


def find_container(pod: Object, name: str) -> Object | None:
    candidates = (*all_containers(pod), *ephemeral_containers(pod))
    return next((container for container in candidates if container["name"] == name), None)


def has_claims(pod: Object) -> bool:
    """Of devices, whether it names them or they stand for its extended resources."""
    return bool(pod["spec"].get("resourceClaims") or dig(pod, "status", "extendedResourceClaimStatus"))


def container_type(pod: Object, name: str) -> str:
    """As metrics tell containers apart."""
    for field, type_ in (("initContainers", "init_container"), ("ephemeralContainers", "ephemeral_container")):
        if any(other["name"] == name for other in pod["spec"].get(field) or ()):
            return type_
    return "container"


def field_path(pod: Object, container: Object) -> str:
    """Where the container is in its pod, as events about it say."""
    for field in ("initContainers", "ephemeralContainers"):
        if any(other["name"] == container["name"] for other in pod["spec"].get(field) or ()):
            return f"spec.{field}{{{container['name']}}}"
    return f"spec.containers{{{container['name']}}}"


def full_name(pod: Object) -> str:
    """`name_namespace(uid)`, as messages about a pod name it."""
    meta = pod["metadata"]
    return f"{meta['name']}_{meta['namespace']}({meta['uid']})"


def restarts_after(pod: Object, container: Object, exit_code: int) -> bool:
    """Whether a container that ended so is started again; an init container that did its work is not."""
    is_init = any(other is container for other in init_containers(pod))
    if is_init and exit_code == 0 and "restartPolicy" not in container:
        return False
    return restarts(pod["spec"], container, exit_code)


def restarts_on_failure(pod: Object, container: Object) -> bool:
    """The same for a container that is stopped while it runs: there is no exit code for rules to match."""
    return bool((container.get("restartPolicy") or pod["spec"].get("restartPolicy")) != "Never")


def container_hash(container: Object) -> str:
    """Changes when the container has to be made anew; its image is all that may change in place."""
    return hashlib.blake2b(orjson.dumps([container["name"], container.get("image")]), digest_size=4).hexdigest()


def is_host_network(pod: Object) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def has_own_users(pod: Object) -> bool:
    return pod["spec"].get("hostUsers") is False


def qos_class(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort."""
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    guaranteed = True
    if pod["spec"].get("resources"):  # what the whole pod asks for is what counts, where it says
        requests, limits = _amounts(pod["spec"], "requests"), _amounts(pod["spec"], "limits")
        if not requests and not limits:
            return "BestEffort"
        return "Guaranteed" if set(limits) == {"cpu", "memory"} and requests == limits else "Burstable"
    for container in all_containers(pod):
        own_limits = _amounts(container, "limits")
        for name, amount in _amounts(container, "requests").items():
            requests[name] = requests.get(name, 0) + amount
        for name, amount in own_limits.items():
            limits[name] = limits.get(name, 0) + amount
        guaranteed = guaranteed and set(own_limits) == {"cpu", "memory"}
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"


def milli_cpu(container: Object, bound: str) -> int:
    """Requests or limits of cpu in thousandths; 0 when not given."""
    return quantity.milli_of(dig(container, "resources", bound, "cpu", default="0"))


def memory_bytes(container: Object, bound: str) -> int:
    return quantity.value_of(dig(container, "resources", bound, "memory", default="0"))


def _amounts(container: Object, bound: str) -> dict[str, int]:
    found: dict[str, Any] = dig(container, "resources", bound, default={})
    amounts = {name: quantity.parse(str(found[name])).nanos for name in ("cpu", "memory") if name in found}
    return {name: amount for name, amount in amounts.items() if amount}
