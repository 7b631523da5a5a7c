"""What a node's parts are put together from: where it is, what it was told, and how it reaches the API."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pylet.agent.config import AgentConfig
from pylet.agent.join import Credentials
from pylet.agent.resolv_conf import HostResolver
from pylet.aio.clock import Clock
from pylet.api.clustersettings import ClusterSettings
from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.client.interface import Client, Tables, Unreachable
from pylet.client.servers import Servers
from pylet.client.view import Table

log = logging.getLogger(__name__)

_RETRY_SECONDS = (0.5, 15.0)


class Unusable(Exception):
    """The agent cannot start as it is configured; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Api:
    """How this node reaches the API; `ca` is the file that says whose certificates to trust."""

    client: Client
    tables: Tables
    ca: Path
    reconnect: Callable[[], Awaitable[None]] | None = None
    """Give up connections from addresses this machine does not have any more."""
    servers: Servers | None = None
    """To keep tunnels to; None where the server is in this process."""
    custom: Tables | None = None
    """Tables of custom kinds; without these they are watched through the client."""
    serving: Callable[[Sequence[str]], Awaitable[tuple[bytes, bytes]]] | None = None
    """Certificate and key to serve as these names with, of the cluster's CA in this process; else a CSR is made."""


@dataclass(frozen=True, slots=True)
class Site:
    """`tables` are those that several parts read: this node's pods, all Services, EndpointSlices and Nodes."""

    config: AgentConfig
    cluster: ClusterSettings
    api: Api
    credentials: Credentials
    clock: Clock
    addresses: tuple[str, ...]
    resolver: HostResolver
    tables: Mapping[Kind, Table]

    @property
    def kubelet_fields(self) -> Object:
        """Of a KubeletConfiguration, what flags and the cluster say."""
        config, cluster = self.config, self.cluster
        return {
            "address": config.bind_address or "0.0.0.0",
            "cgroupRoot": config.cgroup_root,
            "clusterDNS": [cluster.cluster_dns],
            "clusterDomain": cluster.cluster_domain,
            "containerRuntimeEndpoint": config.container_runtime_endpoint,
            "podLogsDir": str(config.pod_log_dir),
            "port": config.kubelet_port,
            "resolvConf": str(config.resolv_conf),
        }


async def insist(attempt: Callable[[], Awaitable[object]], clock: Clock) -> None:
    """Try until the API answers; what it refuses for good is raised by the attempt itself."""
    delay, longest = _RETRY_SECONDS
    while True:
        try:
            await attempt()
            return
        except Unreachable as away:
            log.warning("%s; trying again in %.1f s", away.message, delay)
        except ApiError as refused:
            log.warning("the API refuses: %s; trying again in %.1f s", refused.message, delay)
        await clock.sleep(delay)
        delay = min(delay * 2, longest)
