"""What containers and images use, by CRI v1. Timestamps are nanoseconds; None is what the runtime did not measure."""

from __future__ import annotations

from collections.abc import Mapping

from pylet.cri.messages import ContainerMetadata
from pylet.cri.wire import at, message


@message
class FilesystemIdentifier:
    mountpoint: str = at(1, "")


@message
class FilesystemUsage:
    timestamp: int = at(1, 0)
    fs_id: FilesystemIdentifier = at(2, FilesystemIdentifier())
    used_bytes: int | None = at(3, None)
    inodes_used: int | None = at(4, None)


@message
class ContainerAttributes:
    id: str = at(1, "")
    metadata: ContainerMetadata = at(2, ContainerMetadata())
    labels: Mapping[str, str] = at(3, {})
    annotations: Mapping[str, str] = at(4, {})


@message
class CpuUsage:
    timestamp: int = at(1, 0)
    usage_core_nano_seconds: int | None = at(2, None)
    usage_nano_cores: int | None = at(3, None)


@message
class MemoryUsage:
    timestamp: int = at(1, 0)
    working_set_bytes: int | None = at(2, None)
    available_bytes: int | None = at(3, None)
    usage_bytes: int | None = at(4, None)
    rss_bytes: int | None = at(5, None)
    page_faults: int | None = at(6, None)
    major_page_faults: int | None = at(7, None)


@message
class ContainerStats:
    attributes: ContainerAttributes = at(1, ContainerAttributes())
    cpu: CpuUsage | None = at(2, None)
    memory: MemoryUsage | None = at(3, None)
    writable_layer: FilesystemUsage | None = at(4, None)
