"""What crosses the sockets of DRA drivers, `v1` and `v1beta1` alike, as frozen data. Pure.

Source: upstream `staging/src/k8s.io/kubelet/pkg/apis/{dra/v1,dra-health/v1alpha1}/api.proto`.
"""

from __future__ import annotations

from pylet.cri.wire import at, message


@message
class Claim:
    namespace: str = at(1, "")
    uid: str = at(2, "")
    name: str = at(3, "")


@message
class Request:
    """To prepare, and to unprepare."""

    claims: tuple[Claim, ...] = at(1, ())


@message
class Device:
    request_names: tuple[str, ...] = at(1, ())
    pool_name: str = at(2, "")
    device_name: str = at(3, "")
    cdi_device_ids: tuple[str, ...] = at(4, ())


@message
class Prepared:
    devices: tuple[Device, ...] = at(1, ())
    error: str = at(2, "")


@message
class PreparedEntry:
    uid: str = at(1, "")
    result: Prepared = at(2, Prepared())


@message
class PrepareAnswer:
    claims: tuple[PreparedEntry, ...] = at(1, ())


@message
class Unprepared:
    error: str = at(1, "")


@message
class UnpreparedEntry:
    uid: str = at(1, "")
    result: Unprepared = at(2, Unprepared())


@message
class UnprepareAnswer:
    claims: tuple[UnpreparedEntry, ...] = at(1, ())


@message
class Nothing:
    pass


@message
class DevicePlace:
    pool_name: str = at(1, "")
    device_name: str = at(2, "")


@message
class DeviceHealth:
    device: DevicePlace = at(1, DevicePlace())
    health: int = at(2, 0)
    last_updated_time: int = at(3, 0)
    health_check_timeout_seconds: int = at(4, 0)
    message: str = at(5, "")


@message
class HealthAnswer:
    """Of all devices of a driver."""

    devices: tuple[DeviceHealth, ...] = at(1, ())
