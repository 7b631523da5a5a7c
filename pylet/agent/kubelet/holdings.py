"""Who holds what of the node, for those who watch over it: the PodResources API, v1. Pure but for its bytes.

Source: upstream `pkg/kubelet/apis/podresources/server_v1.go`, `staging/src/k8s.io/kubelet/pkg/apis/podresources/v1`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from pylet.agent.kubelet.claims.ledger import Held
from pylet.agent.kubelet.devices.ledger import NOWHERE, Ledger
from pylet.agent.kubelet.devices.messages import NumaNode, Topology
from pylet.agent.kubelet.placement.placing import Placement
from pylet.agent.kubelet.spec import app_containers, init_containers
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, uid_of
from pylet.cri import wire
from pylet.cri.served import Refused
from pylet.cri.wire import at, message


@message
class Devices:
    resource_name: str = at(1, "")
    device_ids: tuple[str, ...] = at(2, ())
    topology: Topology | None = at(3, None)


@message
class Memory:
    memory_type: str = at(1, "")
    size: int = at(2, 0)
    topology: Topology | None = at(3, None)


@message
class CdiDevice:
    name: str = at(1, "")


@message
class ClaimResource:
    cdi_devices: tuple[CdiDevice, ...] = at(1, ())
    driver_name: str = at(2, "")
    pool_name: str = at(3, "")
    device_name: str = at(4, "")


@message
class DynamicResource:
    claim_name: str = at(2, "")
    claim_namespace: str = at(3, "")
    claim_resources: tuple[ClaimResource, ...] = at(4, ())


@message
class Container:
    name: str = at(1, "")
    devices: tuple[Devices, ...] = at(2, ())
    cpu_ids: tuple[int, ...] = at(3, ())
    memory: tuple[Memory, ...] = at(4, ())
    dynamic_resources: tuple[DynamicResource, ...] = at(5, ())


@message
class Pod:
    name: str = at(1, "")
    namespace: str = at(2, "")
    containers: tuple[Container, ...] = at(3, ())


@message
class Listed:
    pod_resources: tuple[Pod, ...] = at(1, ())


@message
class Allocatable:
    devices: tuple[Devices, ...] = at(1, ())
    cpu_ids: tuple[int, ...] = at(2, ())
    memory: tuple[Memory, ...] = at(3, ())


@message
class Asked:
    pod_name: str = at(1, "")
    pod_namespace: str = at(2, "")


@message
class Found:
    pod_resources: Pod = at(1, Pod())


@dataclass(frozen=True, slots=True)
class Holdings:
    """Where it is written who has what; `claims` gives what is prepared of those that a pod's container names."""

    ledger: Ledger
    placement: Placement | None = None
    claims: Callable[[Object, Object], Iterable[Held]] = lambda pod, container: ()


def answer(method: str, request: bytes, pods: Collection[Object], of: Holdings) -> bytes:
    """Of pods that may hold something. Raises: Refused."""
    if method == "List":
        return wire.encode(Listed(tuple(_pod(pod, of) for pod in pods)))
    if method == "GetAllocatableResources":
        return wire.encode(_allocatable(of.ledger, of.placement))
    asked = wire.decode(Asked, request)
    for pod in pods:
        if (pod["metadata"]["name"], pod["metadata"]["namespace"]) == (asked.pod_name, asked.pod_namespace):
            return wire.encode(Found(_pod(pod, of)))
    raise Refused(f"pod {asked.pod_name} in namespace {asked.pod_namespace} not found")


def _allocatable(ledger: Ledger, placement: Placement | None) -> Allocatable:
    """All that can be given, whether it is or not."""
    devices = (
        held
        for name, resource in ledger.resources.items()
        for id_ in sorted(resource.healthy)
        for held in _devices(name, id_, resource.devices[id_].numa)
    )
    cpus, memory = (placement.cpus, placement.memory) if placement is not None else (None, None)
    ids = sorted(cpus.layout.cpus - cpus.reserved) if cpus is not None else ()
    amounts = memory.allocatable.items() if memory is not None else ()
    blocks = (Memory(what, size, _near((node,))) for node, of in amounts for what, size in of.items() if size)
    return Allocatable(tuple(devices), tuple(ids), tuple(blocks))


def _pod(pod: Object, of: Holdings) -> Pod:
    lasting = (*(c for c in init_containers(pod) if is_sidecar(c)), *app_containers(pod))
    containers = tuple(_container(pod, c, of) for c in lasting)
    return Pod(pod["metadata"]["name"], pod["metadata"]["namespace"], containers)


def _container(pod: Object, container: Object, of: Holdings) -> Container:
    uid, name = uid_of(pod), str(container["name"])
    devices = (
        held
        for resource, grant in of.ledger.granted(uid, name).items()
        for node, ids in grant.numa.items()
        for id_ in ids
        for held in _devices(resource, id_, () if node == NOWHERE else (node,))
    )
    cpus, pool = (of.placement.cpus, of.placement.memory) if of.placement is not None else (None, None)
    own = cpus.of(uid, name) if cpus is not None else None
    blocks = pool.blocks.get(uid, {}).get(name, ()) if pool is not None else ()
    memory = tuple(Memory(block.resource, block.size, _near(block.nodes)) for block in blocks)
    claimed = tuple(_claimed(held) for held in of.claims(pod, container))
    return Container(name, tuple(devices), tuple(sorted(own or ())), memory, claimed)


def _claimed(held: Held) -> DynamicResource:
    given = tuple(
        ClaimResource(tuple(map(CdiDevice, device.cdi_device_ids)), driver, device.pool_name, device.device_name)
        for driver, devices in held.drivers.items()
        for device in devices
    )
    return DynamicResource(held.key.name, held.key.namespace, given)


def _devices(resource: str, id_: str, nodes: tuple[int, ...]) -> Iterator[Devices]:
    """One for each node it is near to."""
    yield from (Devices(resource, (id_,), _near((node,))) for node in nodes)
    if not nodes:
        yield Devices(resource, (id_,))


def _near(nodes: Iterable[int]) -> Topology:
    return Topology(tuple(NumaNode(node) for node in sorted(nodes)))
