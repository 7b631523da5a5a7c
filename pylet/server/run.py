"""The server's composition root: from its configuration to a cluster that answers, and back to nothing in order.

`serve` is the server as one coroutine. What shall live in the same process, the embedded agent, is given to it as
`beside` and gets a `Running`; the server itself knows nothing of agents.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pylet.aio import memory, services, timeset
from pylet.aio.clock import Clock, SystemClock
from pylet.api import kinds
from pylet.api.ip import in_url
from pylet.api.object import Object
from pylet.client.view import age
from pylet.server import addons, optional, place
from pylet.server.auth import default_roles
from pylet.server.auth.authenticate import AUTHENTICATED
from pylet.server.authority import Authority
from pylet.server.components import components
from pylet.server.config import ServerConfig
from pylet.server.core import Core, open_core
from pylet.server.front import Front, build_front
from pylet.server.http import extensions
from pylet.server.http.answer import LINE_BYTES, Listener
from pylet.server.http.resources import BODY_BYTES
from pylet.server.loopback import Loopback
from pylet.server.pki import FRONT_PROXY, Pki
from pylet.server.place import Unusable
from pylet.server.registry import VOLATILE, Registry, User
from pylet.server.registry.registry import is_stored
from pylet.store import open_store
from pylet.store.interface import StoreError

if TYPE_CHECKING:
    from pylet.server.scheduler.decide import Profile

log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0
_DAY_SECONDS = 86400.0
_IDLE_SECONDS = 90.0  # of a connection between two requests, or before it has asked for anything; as upstream
_HEADERS = 2000  # a proxy tells each group of whom it impersonates in one


@dataclass(frozen=True, slots=True)
class Running:
    """What lives beside the server in its process may use.

    `loopback` reaches the API as a user without a connection: the same admission, no authorization; it is both a
    Client and the Tables of the watch cache. `port` is the one really listened on.
    """

    url: str
    port: int
    pki: Pki
    authority: Authority
    registry: Registry
    loopback: Callable[[User], Loopback]

    def node(self, name: str) -> Loopback:
        """The API as a node of that name reaches it."""
        return self.loopback(User(f"system:node:{name}", ("system:nodes", AUTHENTICATED)))


Beside = Callable[[Running], Coroutine[Any, Any, None]]


def main(config: ServerConfig, beside: Beside | None = None) -> None:
    """Run until SIGTERM or SIGINT; exits with 2 and one line where the configuration cannot work."""
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname).1s %(name)s: %(message)s", stream=sys.stderr
    )
    problems: list[Unusable] = []
    try:
        services.run(lambda: services.until_signalled(serve(config, beside=beside)))
    except* Unusable as group:
        problems = list(services.leaves(group))  # what is raised in here would leave as a group
    for problem in problems:
        print(f"pylet server: {problem}", file=sys.stderr)
    if problems:
        raise SystemExit(2)


async def serve(
    config: ServerConfig,
    ready: Callable[[Running], None] | None = None,
    beside: Beside | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve until cancelled; `ready` is called once requests are answered. Raises: Unusable."""
    with place.held(config.data_dir):
        await _serve(config, ready, beside, clock or SystemClock())


async def _serve(
    config: ServerConfig, ready: Callable[[Running], None] | None, beside: Beside | None, clock: Clock
) -> None:
    profiles = optional.scheduler_profiles(config)
    pki = Pki(config.data_dir / "server" / "tls")
    address = place.advertised(config)
    with place.writable(config.data_dir):
        names = place.names(config, address)
        pki.ensure(names, clock.now())
        join = place.join_token(config, pki)
    async with _store(config) as kept, asyncio.TaskGroup() as group, AsyncExitStack() as at_the_end:
        store, own_keys = await optional.encrypted(config, kept, clock)
        auditor = optional.auditor(config, clock, group)
        core = await at_the_end.enter_async_context(open_core(config, store, pki, join, clock, auditor))
        group.create_task(core.registry.run())
        for file in core.guard.outside.files:
            group.create_task(file.run())
        listening = at_the_end.enter_context(place.listening(config))
        port = listening.getsockname()[1]
        started = asyncio.Event()
        front = build_front(
            core,
            pki,
            clock,
            origin=f"{in_url(address)}:{port}",
            is_started=started.is_set,
            secrets_encryption=partial(optional.secrets_encryption, store, own_keys, clock),
            flags=config.flags,
        )
        front.metrics.sources.append(partial(place.storage_size, config.data_dir))
        at_the_end.push_async_callback(front.close)
        tls = pki.server_context()
        await at_the_end.enter_async_context(_http(front, listening, tls))
        kept = await _ensure_objects(config, core.registry, pki, address, port)
        group.create_task(front.extensions.run())
        place.write_kubeconfig(config, pki, port)
        group.create_task(_keep_certificates(config, pki, names, port, (tls, front.kubelets.tls), clock))
        for component in _in_background(config, core, front, clock, profiles, kept):
            group.create_task(component)
        started.set()
        group.create_task(memory.keep_small(clock, age))
        services.notify("READY=1")
        url, authority = f"https://{in_url(address)}:{port}", core.trust.authority
        log.info("pylet serves at %s", url)
        running = Running(url, port, pki, authority, core.registry, core.loopback)
        if ready is not None:
            ready(running)
        if beside is not None:
            group.create_task(beside(running))
        await asyncio.Event().wait()


async def _ensure_objects(
    config: ServerConfig, registry: Registry, pki: Pki, address: str, port: int
) -> Sequence[Object]:
    """What a cluster has from its first minute: namespaces before what is in them. What of it it shall always have."""
    client = Loopback(registry, manager="kube-apiserver")
    namespaces = addons.namespaces()
    await addons.ensure(client, namespaces)
    wanted = addons.objects(config.cluster, advertise_address=address, port=port, disable=config.disable)
    trusted = pki.ca.certificate.read_text(), pki.front_proxy_ca.certificate.read_text()
    front = addons.extension_authentication(*trusted, FRONT_PROXY)
    await addons.ensure(client, [*wanted, front, *default_roles.objects()])
    if "gateway" not in config.disable:
        await addons.ensure_gateway_api(client)
    return [obj for obj in (*namespaces, *wanted, front) if obj["kind"] in addons.KEPT]


def _in_background(
    config: ServerConfig,
    core: Core,
    front: Front,
    clock: Clock,
    profiles: Sequence[Profile],
    kept: Sequence[Object],
) -> Iterator[Coroutine[Any, Any, None]]:
    return components(
        config,
        core.loopback,
        {kind: core.registry.table(kind) for kind in kinds.all_kinds() if is_stored(kind)},
        core.definitions,
        core.trust,
        clock,
        profiles=profiles,
        kept=kept,
        read=front.extensions.read,
        counted=front.metrics.sources,
    )


async def _keep_certificates(
    config: ServerConfig,
    pki: Pki,
    names: Sequence[str],
    port: int,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    clock: Clock,
) -> None:
    """Renew what comes near its end, a day at a time and when the time of day is set; later connections use it, none
    is broken. `contexts` are those to serve with and to reach kubelets with."""
    serving, to_kubelets = contexts
    while True:
        for warning in pki.warnings(clock.now()):
            log.warning("%s", warning)
        await timeset.sleep(clock, _DAY_SECONDS)
        try:
            if not await asyncio.to_thread(pki.ensure, names, clock.now()):
                continue
            place.write_kubeconfig(config, pki, port)
        except (OSError, Unusable) as failed:
            log.error("cannot renew certificates below %s: %s", pki.directory, failed)
            continue
        pki.serving.load_into(serving)
        pki.kubelet_client.load_into(to_kubelets)
        extensions.forget_identity()


@asynccontextmanager
async def _http(front: Front, listening: socket.socket, tls: ssl.SSLContext) -> AsyncIterator[None]:
    """Serve on the socket; at the end stop listening, end watches, and let requests finish."""
    loop: Any = asyncio.get_running_loop()
    make_request = partial(web.BaseRequest, loop=loop, client_max_size=BODY_BYTES)
    handle: Any = front.app.handle  # answers with less than a StreamResponse: see http/answer.py
    listener = Listener(
        handle,
        request_factory=make_request,
        access_log=None,
        lingering_time=1.0,
        keepalive_timeout=_IDLE_SECONDS,
        auto_decompress=False,  # no more does upstream: a few bytes may become gigabytes
        max_line_size=LINE_BYTES,
        max_field_size=LINE_BYTES,
        max_headers=_HEADERS,
    )
    server = await loop.create_server(listener, sock=listening, ssl=tls, backlog=1024)
    try:
        yield
    finally:
        server.close()
        front.watches.stop()
        await listener.shutdown(_STOP_SECONDS)


@asynccontextmanager
async def _store(config: ServerConfig) -> AsyncIterator[Any]:
    asked = config.datastore_endpoint
    if asked == "memory":
        url = "memory://"
    elif asked and asked.startswith("sqlite://"):
        url = asked
    else:
        url = f"sqlite://{config.data_dir / 'server' / 'db.sqlite'}"
    try:
        async with open_store(url, volatile=VOLATILE) as store:
            yield store
    except StoreError as failed:
        raise Unusable(str(failed)) from failed
