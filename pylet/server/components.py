"""What works in the background of a server, with no connection of its own: the controllers and the scheduler."""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pylet.aio import timeset
from pylet.aio.clock import Clock
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.client.interface import Client
from pylet.client.view import Table
from pylet.server import accounts, identity
from pylet.server.authority import Authority
from pylet.server.config import ServerConfig
from pylet.server.crd.serving import Definitions
from pylet.server.reconcile.observations import Observations
from pylet.server.reconcile.observer import Observer, Read, nobody
from pylet.server.registry import LOOPBACK, User

if TYPE_CHECKING:
    from pylet.server.reconcile.plan import Controller
    from pylet.server.scheduler.decide import Profile


@dataclass(frozen=True, slots=True)
class Trust:
    """What the cluster's keys are good for. `ca` is the certificate pods trust (PEM); `authority` signs what is
    approved; `may_have` says which certificates somebody may have without asking a person; `mint` makes a service
    account's token for the Secret of a name.
    """

    ca: str
    authority: Authority
    may_have: Callable[[Object, str], bool]
    mint: Callable[[Object, str], str]


def components(
    config: ServerConfig,
    loopback: Callable[[User], Client],
    tables: dict[Kind, Table],
    definitions: Definitions,
    trust: Trust,
    clock: Clock,
    *,
    counted: list[Callable[[], Iterator[str]]],
    read: Read = nobody,
    profiles: Sequence[Profile] = (),
    kept: Sequence[Object] = (),
) -> Iterator[Coroutine[Any, Any, None]]:
    """Each runs until cancelled. `loopback` is how a user reaches the API; `counted` is given what they count; `read`
    answers paths of aggregated APIs; `profiles` are the scheduler's, its own unless any are given; `kept` are objects
    that the cluster always has.
    """
    from pylet.server.reconcile.runner import Runner
    from pylet.server.scheduler.loop import Scheduler
    from pylet.server.scheduler.plugins import PROFILE

    observations = Observations()
    controllers = _controllers(config, tables, definitions, trust, observations, kept)
    runner = Runner(lambda name: loopback(accounts.of_controller(name)), tables, clock, controllers)
    binding = loopback(accounts.SCHEDULER)
    scheduler = Scheduler(binding, tables, clock, profiles=profiles or (PROFILE,), host=socket.gethostname())
    counted += [runner.metrics, scheduler.metrics]
    definitions.follow(runner.adopt, runner.abandon)
    yield definitions.run()
    yield runner.run()
    yield timeset.follow(clock, runner.heed_clock)
    yield Observer(read, observations, clock).run()
    yield scheduler.run()
    yield identity.keep(loopback(LOOPBACK), clock, socket.gethostname())


def _controllers(
    config: ServerConfig,
    tables: dict[Kind, Table],
    definitions: Definitions,
    trust: Trust,
    observations: Observations,
    kept: Sequence[Object],
) -> list[Controller]:
    from pylet.server.controllers import (
        autoscaling,
        bootstrap,
        certificates,
        controllers,
        custom_resources,
        disruption,
        garbage,
        gateway,
        ingress,
        namespace,
        node_ipam,
        node_lifecycle,
        policy_status,
        resourcequota,
        root_ca,
        serviceaccount_tokens,
        servicelb,
    )

    found = [
        *controllers(),
        autoscaling.controller(tables, observations),
        bootstrap.controller(kept),
        certificates.controller(trust.authority, trust.may_have),
        custom_resources.controller(definitions.kind),
        disruption.controller(tables),
        garbage.controller(tables),
        namespace.controller(tables),
        resourcequota.controller(tables),
        root_ca.controller(trust.ca),
        serviceaccount_tokens.controller(trust.ca, trust.mint),
        node_ipam.controller(config.cluster_cidr),
        node_lifecycle.controller(),
        policy_status.controller(lambda: [kind for kind, _ in definitions.tables.values()]),
        servicelb.controller(is_on=servicelb.NAME not in config.disable),
    ]
    return found + [addon.controller() for addon in (ingress, gateway) if addon.NAME not in config.disable]
