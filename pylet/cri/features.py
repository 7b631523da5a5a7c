"""What a container runtime tells of itself, by CRI v1."""

from __future__ import annotations

from enum import IntEnum

from pylet.cri.wire import at, message


@message
class Version:
    version: str = at(1, "")
    runtime_name: str = at(2, "")
    runtime_version: str = at(3, "")
    runtime_api_version: str = at(4, "")


@message
class RuntimeCondition:
    """`type` is RuntimeReady or NetworkReady."""

    type: str = at(1, "")
    status: bool = at(2, False)
    reason: str = at(3, "")
    message: str = at(4, "")


@message
class HandlerFeatures:
    recursive_read_only_mounts: bool = at(1, False)
    user_namespaces: bool = at(2, False)


@message
class RuntimeHandler:
    """`name` is "" for the default one."""

    name: str = at(1, "")
    features: HandlerFeatures = at(2, HandlerFeatures())


@message
class RuntimeFeatures:
    supplemental_groups_policy: bool = at(1, False)


class CgroupDriver(IntEnum):
    SYSTEMD = 0
    CGROUPFS = 1


@message
class LinuxRuntimeConfig:
    cgroup_driver: CgroupDriver = at(1, CgroupDriver.SYSTEMD)


@message
class RuntimeConfig:
    linux: LinuxRuntimeConfig | None = at(1, None)
