"""What crosses the sockets of device plugins: the messages of `v1beta1`, as frozen data. Pure.

Mounts, device nodes and CDI names have the numbers they have in CRI, and are those.
Source: upstream `staging/src/k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/api.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pylet.cri.messages import CDIDevice, Mount
from pylet.cri.messages import Device as Node
from pylet.cri.wire import at, message

VERSION = "v1beta1"
HEALTHY = "Healthy"


@message
class Empty:
    pass


@message
class Options:
    pre_start_required: bool = at(1, False)
    get_preferred_allocation_available: bool = at(2, False)


@message
class RegisterRequest:
    version: str = at(1, "")
    endpoint: str = at(2, "")
    resource_name: str = at(3, "")


@message
class NumaNode:
    id: int = at(1, 0)


@message
class Topology:
    nodes: tuple[NumaNode, ...] = at(1, ())


@message
class Device:
    id: str = at(1, "")
    health: str = at(2, "")
    topology: Topology = at(3, Topology())

    @property
    def numa(self) -> tuple[int, ...]:
        """The NUMA nodes it is near to; none where it does not matter."""
        return tuple(node.id for node in self.topology.nodes)


@message
class DeviceList:
    devices: tuple[Device, ...] = at(1, ())


@message
class DeviceIds:
    """Also the request of PreStartContainer."""

    ids: tuple[str, ...] = at(1, ())


@message
class AllocateRequest:
    container_requests: tuple[DeviceIds, ...] = at(1, ())


@message
class Given:
    """What a container is made with to use its devices."""

    envs: Mapping[str, str] = at(1, {})
    mounts: tuple[Mount, ...] = at(2, ())
    devices: tuple[Node, ...] = at(3, ())
    annotations: Mapping[str, str] = at(4, {})
    cdi_devices: tuple[CDIDevice, ...] = at(5, ())


@message
class AllocateAnswer:
    container_responses: tuple[Given, ...] = at(1, ())


@message
class Preference:
    available: tuple[str, ...] = at(1, ())
    must_include: tuple[str, ...] = at(2, ())
    size: int = at(3, 0)


@message
class PreferredRequest:
    container_requests: tuple[Preference, ...] = at(1, ())


@message
class PreferredAnswer:
    container_responses: tuple[DeviceIds, ...] = at(1, ())
