"""The API before anybody connects: the registry with its kinds, its admission and who may ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pylet.aio.clock import Clock
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.server import optional
from pylet.server.admission import CHAIN
from pylet.server.auth.authorize import may_have_approved
from pylet.server.components import Trust
from pylet.server.config import ServerConfig
from pylet.server.crd.conversion import Converter
from pylet.server.crd.serving import Definitions
from pylet.server.guard import Answers, Guard, answers, extend_admission, guard
from pylet.server.http.tunnels import Tunnels
from pylet.server.loopback import Loopback
from pylet.server.pki import Pki
from pylet.server.registry import LOOPBACK, Registry, User
from pylet.server.webhooks import WebhookClient
from pylet.store.interface import Store

if TYPE_CHECKING:
    from pylet.server.audit.auditor import Auditor


@dataclass(frozen=True, slots=True)
class Core:
    registry: Registry
    definitions: Definitions
    tunnels: Tunnels
    guard: Guard
    answers: Answers
    trust: Trust
    auditor: Auditor | None

    def loopback(self, user: User = LOOPBACK) -> Loopback:
        """Reaches the API as that user without a connection: the same admission, no authorization."""
        return Loopback(self.registry, user=user, answers=self.answers, auditor=self.auditor)


@asynccontextmanager
async def open_core(
    config: ServerConfig,
    store: Store,
    pki: Pki,
    join: Iterable[tuple[str, str]],
    clock: Clock,
    auditor: Auditor | None = None,
) -> AsyncIterator[Core]:
    """Loaded, but it follows the store only while `registry.run` runs. `join` as `guard` has it. Raises: Unusable."""
    node_ports = config.service_node_port_range
    settings = optional.admission(config)
    chain = CHAIN if settings is None else settings.chain(CHAIN)
    registry = Registry(store, chain=chain, service_cidr=config.service_cidr, node_ports=node_ports, now=clock.now)
    tunnels = Tunnels(registry.table(NODE), registry.table(POD))
    webhooks = WebhookClient(registry.table, tunnels.connector, pki.proof)
    try:
        convert = Converter(webhooks)
        registry.convert_by(convert)
        await registry.load()
        definitions = Definitions(registry)
        definitions.start()
        guarded = guard(config, registry, pki, join, clock)
        credentials = {} if settings is None else settings.credentials
        extend_admission(registry, guarded.authorizer, webhooks, convert, credentials)
        try:
            may_have = partial(may_have_approved, guarded.authorizer)
            trust = Trust(pki.ca.certificate.read_text(), pki.authority(clock.now), may_have, guarded.tokens.legacy)
            yield Core(registry, definitions, tunnels, guarded, answers(registry, guarded), trust, auditor)
        finally:
            await guarded.outside.close()
    finally:
        await webhooks.close()
        tunnels.close()
