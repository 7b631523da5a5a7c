"""What answers requests: all rooms of `http`, put together around the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pylet.aio.clock import Clock
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object
from pylet.client import counters
from pylet.server.admission import pod_security
from pylet.server.admission.dynamic import counted
from pylet.server.core import Core
from pylet.server.crd import counted as definitions_counted
from pylet.server.flow import Limiter
from pylet.server.http import own_metrics, plain
from pylet.server.http.access import Access
from pylet.server.http.app import App
from pylet.server.http.discovery import Discovery
from pylet.server.http.extensions import Extensions
from pylet.server.http.forwarding import Forwarder
from pylet.server.http.health import Health
from pylet.server.http.kubelet_proxy import KubeletProxy
from pylet.server.http.openapi import OpenApi
from pylet.server.http.paths import Paths
from pylet.server.http.proxies import Proxies
from pylet.server.http.resources import Resources
from pylet.server.http.watching import Watches
from pylet.server.metrics import Metrics
from pylet.server.pki import Pki


@dataclass(frozen=True, slots=True)
class Front:
    app: App
    watches: Watches
    metrics: Metrics
    extensions: Extensions
    kubelets: KubeletProxy
    forwarder: Forwarder

    async def close(self) -> None:
        await self.kubelets.close()
        await self.forwarder.close()


def build_front(
    core: Core,
    pki: Pki,
    clock: Clock,
    *,
    origin: str,
    is_started: Callable[[], bool],
    secrets_encryption: Callable[[str], Awaitable[Object]],
    flags: Callable[[], Mapping[str, str]],
) -> Front:
    """`origin` is the host and port that clients are told; `secrets_encryption` answers `pylet secrets-encrypt`."""
    registry, tunnels, guard = core.registry, core.tunnels, core.guard
    watches, metrics, limiter = Watches(), Metrics(), Limiter(registry.table)
    metrics.sources += [registry.metrics, limiter.metrics]
    kubelets = KubeletProxy(registry, tunnels, pki.kubelet_context(), pki.blind_kubelet_context)
    forwarder = Forwarder(tunnels)
    own = {(own_metrics.GROUP, own_metrics.VERSION): own_metrics.OwnMetrics(registry.table, kubelets, clock)}
    extensions = Extensions(registry.table, core.loopback(), forwarder, pki.front_proxy, clock, own)
    access = Access(guard.authenticator, guard.authorizer, core.auditor, pki.front_proxy_issuer())
    metrics.sources += [extensions.metrics, access.metrics, pki.metrics, counted.lines, counters.lines]
    metrics.sources += [pod_security.lines, guard.authorizer.metrics, guard.outside.metrics]
    metrics.sources += [file.metrics for file in guard.outside.files]
    health, kinds = Health(is_started), registry.kinds
    paths = Paths(
        kinds,
        Discovery(kinds, origin, extensions),
        OpenApi(kinds, extensions),
        extensions,
        health,
        plain.answers(
            metrics,
            health,
            guard.tokens,
            limiter,
            flags,
            lambda: (entry.decoded() for entry in registry.table(POD).entries.values()),
        ),
        secrets_encryption,
    )
    resources = Resources(registry, guard.reviews, guard.token_requests, watches, clock.now)
    metrics.sources += [resources.metrics, watches.lines, definitions_counted.lines, kubelets.metrics]
    app = App(
        access=access,
        limiter=limiter,
        resources=resources,
        paths=paths,
        kubelets=kubelets,
        tunnels=tunnels,
        proxies=Proxies(registry.table, forwarder, tunnels, kubelets.tls),
        extensions=extensions,
        metrics=metrics,
        ca=pki.ca.certificate.read_bytes(),
    )
    return Front(app, watches, metrics, extensions, kubelets, forwarder)
