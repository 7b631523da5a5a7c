"""How a node's kubelet is reached: with which certificate, at its port and through tunnels, and for what."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pylet.agent.join import SERVING_SIGNER, Credentials, Renewal, request_certificate
from pylet.agent.kubelet import counters
from pylet.agent.kubelet.access import Access
from pylet.agent.kubelet.http import Facts, KubeletServer
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import is_host_network
from pylet.agent.kubelet.workplace import Node
from pylet.agent.site import Site, Unusable, insist
from pylet.agent.tunnels import Tunnels
from pylet.aio import certificate
from pylet.aio.clock import Clock
from pylet.api.hostports import serves_as_node
from pylet.api.object import Object, dig


async def serve(
    site: Site,
    node: Node,
    pods: Pods,
    volumes: Callable[[], Mapping[tuple[str, str], int]],
    meter: Meter,
    said: Mapping[str, Any],
) -> None:
    """Get a serving certificate, then serve with it, anew with each renewed one; `said` is what the configuration
    file says. Raises: Unusable."""
    settings, config, api, credentials, clock = node.settings, site.config, site.api, site.credentials, site.clock
    pair, names = credentials.serving, (config.node_name, *settings.host_ips)
    renew = partial(_renew, site, names)
    if not (pair.exists() and all(map(certificate.read(pair.certificate).covers, names))):
        await insist(renew, clock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(api.ca)
    pair.load_into(context)

    async def load() -> None:
        pair.load_into(context)

    facts = Facts(
        volumes,
        partial(_configuration, site, settings, said),
        partial(_lifetimes, credentials, clock),
        config.flags,
    )
    server = KubeletServer(node, pods, Access(api.client, clock, config.node_name), meter, facts)
    async with asyncio.TaskGroup() as group:
        group.create_task(Renewal(pair, clock, renew, load, counters.SERVING_RENEWAL_ERRORS).run())
        if api.servers is not None:
            tunnels = Tunnels(
                api.servers,
                credentials.tls,
                lambda stream: server.take(stream, context),
                lambda address, port: any(serves(pod, address, port, settings.host_ips) for pod in node.pods()),
                clock,
            )
            group.create_task(tunnels.run())
        if port := said.get("healthzPort"):
            from pylet.agent.kubelet.healthz import serve_health

            group.create_task(serve_health(said.get("healthzBindAddress") or "127.0.0.1", port, clock))
        try:
            await server.run(config.bind_address, config.kubelet_port, context)
        except OSError as failed:
            why = os.strerror(failed.errno or 0)
            advice = "choose another --kubelet-port" if failed.errno == errno.EADDRINUSE else "check --bind-address"
            raise Unusable(f"cannot listen on port {config.kubelet_port}: {why}; {advice}") from failed


async def _renew(site: Site, names: Sequence[str]) -> None:
    api, pair = site.api, site.credentials.serving
    if api.serving is not None:
        pair.write(*await api.serving(names))
        return
    user, group = f"system:node:{site.config.node_name}", "system:nodes"
    await request_certificate(api.client, SERVING_SIGNER, pair, user, group, usage="server auth", addresses=names)


def _configuration(site: Site, settings: Settings, said: Mapping[str, Any]) -> Object:
    from pylet.agent.kubelet.configz import effective

    return effective(settings.groups.driver, site.kubelet_fields, said)


def _lifetimes(credentials: Credentials, clock: Clock) -> dict[str, float]:
    """How many seconds each certificate is good for."""
    return {
        whose: (certificate.read(pair.certificate).end - clock.now()).total_seconds()
        for whose, pair in (("client", credentials.client), ("server", credentials.serving))
        if pair.exists()
    }


def serves(pod: Object, address: str, port: int, own: tuple[str, ...]) -> bool:
    """Whether the pod has that address to itself; of this node's `own`, whether it says that it listens at the port."""
    if is_host_network(pod):
        return address in own and serves_as_node(pod, address, port)
    return address not in own and any(ip["ip"] == address for ip in dig(pod, "status", "podIPs", default=()))
