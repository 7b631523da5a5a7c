"""The server's composition root: from its configuration to a cluster that answers, and back to nothing in order.

`serve` is the server as one coroutine. What shall live in the same process, the embedded agent, is given to it as
`beside` and gets a `Running`; the server itself knows nothing of agents.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import secrets
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pylet.aio import services
from pylet.aio.clock import Clock, SystemClock
from pylet.api import jointoken, kinds
from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.client import kubeconfig
from pylet.server import addons
from pylet.server.admission import CHAIN
from pylet.server.admission.dynamic import plugins as dynamic
from pylet.server.admission.dynamic.cluster import Cluster
from pylet.server.auth import default_roles, escalation, signers
from pylet.server.auth.authenticate import AUTHENTICATED, BOOTSTRAPPERS, Authenticator
from pylet.server.auth.authorize import Authorizer, may_have_approved
from pylet.server.auth.expressions import ask_for
from pylet.server.auth.remote import Outside
from pylet.server.auth.reviews import Reviews
from pylet.server.auth.token_requests import TokenRequests
from pylet.server.auth.tokens import Tokens
from pylet.server.components import components
from pylet.server.config import ServerConfig
from pylet.server.crd.conversion import Converter
from pylet.server.crd.serving import Definitions
from pylet.server.flow import Limiter
from pylet.server.http.access import Access
from pylet.server.http.answer import Listener
from pylet.server.http.app import App
from pylet.server.http.discovery import Discovery
from pylet.server.http.extensions import Extensions
from pylet.server.http.forwarding import Forwarder
from pylet.server.http.health import Health
from pylet.server.http.kubelet_proxy import KubeletProxy
from pylet.server.http.openapi import OpenApi
from pylet.server.http.proxies import Proxies
from pylet.server.http.resources import BODY_BYTES, Resources
from pylet.server.http.watching import Watches
from pylet.server.loopback import Loopback
from pylet.server.metrics import Metrics
from pylet.server.pki import FRONT_PROXY, Authority, Pki, write_private
from pylet.server.registry import VOLATILE, Registry, Request, User
from pylet.server.registry.form import Layout
from pylet.server.registry.ownership import shape_of
from pylet.server.registry.registry import is_stored
from pylet.server.webhooks import WebhookClient
from pylet.store import open_store
from pylet.store.interface import Store, StoreError

if TYPE_CHECKING:
    from pylet.server.audit.auditor import Auditor
    from pylet.server.encryption.own_keys import OwnKeys
    from pylet.server.scheduler.decide import Profile

log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0
_DAY_SECONDS = 86400.0
_HEAD_BYTES = 1 << 20  # of a request's first line, or of a header: Go's DefaultMaxHeaderBytes
_AUDIENCE = "https://kubernetes.default.svc.{domain}"


class Unusable(Exception):
    """The server cannot start as it is configured; the message says what to change."""


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
    clock = clock or SystemClock()
    profiles = _scheduler_profiles(config)
    pki = Pki(config.data_dir / "server" / "tls")
    address = _advertised(config)
    with _writable(config.data_dir):
        names = _names(config, address)
        pki.ensure(names, clock.now())
        join = _join_token(config, pki)
    ca = pki.ca.certificate.read_bytes()
    async with _store(config) as kept, asyncio.TaskGroup() as group:
        store, own_keys = await _encrypted(config, kept, clock)
        registry = Registry(
            store,
            chain=CHAIN,
            service_cidr=config.service_cidr,
            node_ports=config.service_node_port_range,
            now=clock.now,
        )
        webhooks = WebhookClient(registry.table)
        convert = Converter(webhooks)
        registry.convert_by(convert)
        await registry.load()
        group.create_task(registry.run())
        definitions = Definitions(registry)
        definitions.start()
        audience = _AUDIENCE.format(domain=config.cluster_domain)
        tokens = Tokens(pki.service_account, audience, clock.now)
        outside = _outside(config, audience, clock)
        authorizer = Authorizer(registry, outside.judge)
        registry.admission.append(escalation.plugin(authorizer))
        registry.admission.extend_before_last(signers.plugins(authorizer))
        ask = partial(ask_for, authorizer)
        around = Cluster(registry.load_table, registry.kinds, convert, webhooks, ask, shape_of)
        registry.admission.extend_before_last(dynamic.plugins(around, registry.table, registry.admission.changed))
        static = {secret: User(f"system:bootstrap:{name}", (BOOTSTRAPPERS, AUTHENTICATED)) for name, secret in join}
        static |= outside.static
        authenticator = Authenticator(registry, tokens, (audience,), static, clock.now, outside.sources)
        reviews = Reviews(registry, authenticator, authorizer)
        auditor = _auditor(config, clock, group)
        token_requests = TokenRequests(registry, tokens, (audience,), clock.now)
        answers = _answers(registry, reviews, token_requests)

        def loopback(user: User) -> Loopback:
            return Loopback(registry, user=user, answers=answers)

        state = _State()
        watches, metrics = Watches(), Metrics()
        kubelets = KubeletProxy(registry, pki.kubelet_context())
        forwarder = Forwarder()
        client = Loopback(registry, answers=answers)
        extensions = Extensions(registry.table, client, forwarder, pki.front_proxy, clock)
        with _listening(config) as listening:
            port = listening.getsockname()[1]
            url = f"https://{_in_url(address)}:{port}"
            app = App(
                access=Access(authenticator, authorizer, auditor, pki.front_proxy_issuer()),
                limiter=Limiter(registry.table),
                resources=Resources(registry, reviews, token_requests, watches, clock.now),
                discovery=Discovery(registry.kinds, f"{_in_url(address)}:{port}", extensions),
                openapi=OpenApi(registry.kinds),
                kubelets=kubelets,
                proxies=Proxies(registry.table, forwarder, kubelets.tls),
                extensions=extensions,
                health=Health(state.checks()),
                metrics=metrics,
                watches=watches,
                tokens=tokens,
                ca=ca,
                secrets_encryption=partial(_secrets_encryption, store, own_keys, clock),
            )
            try:
                tls = pki.server_context()
                async with _http(app, listening, tls, watches):
                    await addons.ensure(client, addons.namespaces())
                    wanted = addons.objects(
                        config.cluster, advertise_address=address, port=port, disable=config.disable
                    )
                    front = addons.extension_authentication(
                        ca.decode(), pki.front_proxy_ca.certificate.read_text(), FRONT_PROXY
                    )
                    await addons.ensure(client, [*wanted, front, *default_roles.objects()])
                    group.create_task(extensions.run())
                    _write_kubeconfig(config, pki, ca, port)
                    authority = pki.authority(clock.now)
                    group.create_task(_keep_certificates(pki, names, tls, kubelets.tls, clock))
                    tables = {kind: registry.table(kind) for kind in kinds.all_kinds() if is_stored(kind)}
                    working = components(
                        client,
                        tables,
                        clock,
                        cluster_cidr=config.cluster_cidr,
                        disable=config.disable,
                        ca=ca.decode(),
                        authority=authority,
                        may_have=partial(may_have_approved, authorizer),
                        mint=tokens.legacy,
                        definitions=definitions,
                        profiles=profiles,
                        read=extensions.read,
                    )
                    for component in working:
                        group.create_task(component)
                    state.is_ready = True
                    gc.freeze()  # what a start leaves behind lives as long as the process: not to be looked at again
                    gc.set_threshold(20_000, 20, 20)  # trees of dicts: a pod's status costs 15% less CPU than with 700
                    services.notify("READY=1")
                    log.info("pylet serves at %s", url)
                    running = Running(url, port, pki, authority, registry, loopback)
                    if ready is not None:
                        ready(running)
                    if beside is not None:
                        group.create_task(beside(running))
                    await asyncio.Event().wait()
            finally:
                await kubelets.close()
                await forwarder.close()
                await outside.close()
                await webhooks.close()


class _State:
    """What the health checks look at."""

    def __init__(self) -> None:
        self.is_ready = False

    def checks(self) -> dict[str, dict[str, Callable[[], str]]]:
        fine: dict[str, Callable[[], str]] = {"ping": lambda: "", "log": lambda: "", "etcd": lambda: ""}
        started = {"poststarthook/rbac/bootstrap-roles": lambda: "" if self.is_ready else "not finished"}
        return {
            "healthz": fine | started,
            "livez": fine | started,
            "readyz": fine | {"informer-sync": lambda: ""} | started,
        }


def _answers(
    registry: Registry, reviews: Reviews, token_requests: TokenRequests
) -> dict[tuple[str, str], Callable[[Request, Object], Awaitable[Object]]]:
    """Creates that store nothing, as loopback clients ask for them."""

    async def token(request: Request, body: Object) -> Object:
        await registry.admit(request, body)
        return token_requests.answer(request.key, body)

    async def review(request: Request, body: Object) -> Object:
        await registry.admit(request, body)
        return await reviews.answer(request.kind, body, request.user, request.key.namespace)

    found = {(kind.plural, ""): review for kind in kinds.all_kinds() if kind.group in _REVIEWS and kind.verbs}
    return {**found, ("serviceaccounts", "token"): token}


async def _keep_certificates(
    pki: Pki, names: Sequence[str], serving: ssl.SSLContext, to_kubelets: ssl.SSLContext, clock: Clock
) -> None:
    """Renew what comes near its end, a day at a time; later connections use it, none is broken."""
    while True:
        await clock.sleep(_DAY_SECONDS)
        try:
            await asyncio.to_thread(pki.ensure, names, clock.now())
        except OSError as failed:
            log.error("cannot renew certificates below %s: %s", pki.directory, failed)
            continue
        pki.serving.load_into(serving)
        pki.kubelet_client.load_into(to_kubelets)


_REVIEWS = ("authentication.k8s.io", "authorization.k8s.io")


@asynccontextmanager
async def _http(app: App, listening: socket.socket, tls: ssl.SSLContext, watches: Watches) -> AsyncIterator[None]:
    """Serve on the socket; at the end stop listening, end watches, and let requests finish."""
    loop: Any = asyncio.get_running_loop()
    make_request = partial(web.BaseRequest, loop=loop, client_max_size=BODY_BYTES)
    handle: Any = app.handle  # answers with less than a StreamResponse: see http/answer.py
    listener = Listener(
        handle,
        request_factory=make_request,
        access_log=None,
        lingering_time=1.0,
        max_line_size=_HEAD_BYTES,
        max_field_size=_HEAD_BYTES,
    )
    server = await loop.create_server(listener, sock=listening, ssl=tls, backlog=1024)
    try:
        yield
    finally:
        server.close()
        watches.stop()
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


def _outside(config: ServerConfig, audience: str, clock: Clock) -> Outside:
    if not config.asks_others:
        return Outside()
    from pylet.server.auth.remote import settings

    try:
        return settings.outside(config, (audience,), clock.now)
    except settings.BadSettings as bad:
        raise Unusable(str(bad)) from bad


def _scheduler_profiles(config: ServerConfig) -> Sequence[Profile]:
    """Empty where the scheduler's own are to be used."""
    if config.kube_scheduler_config is None:
        return ()
    import yaml

    from pylet.server.scheduler.configuration import profiles

    try:
        return profiles(yaml.safe_load(config.kube_scheduler_config.read_text()) or {})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as bad:
        raise Unusable(f"cannot schedule by {config.kube_scheduler_config}: {bad}") from bad


def _auditor(config: ServerConfig, clock: Clock, group: asyncio.TaskGroup) -> Auditor | None:
    if config.audit_policy_file is None or config.audit_log_path is None:
        return None
    import yaml

    from pylet.server.audit.auditor import Auditor
    from pylet.server.audit.log import AuditLog, Rotation
    from pylet.server.audit.policy import Policy

    try:
        policy = Policy(yaml.safe_load(config.audit_policy_file.read_text()))
    except (OSError, ValueError, yaml.YAMLError) as bad:
        raise Unusable(f"cannot audit by {config.audit_policy_file}: {bad}") from bad
    rotation = Rotation(config.audit_log_maxage, config.audit_log_maxbackup, config.audit_log_maxsize)
    written = AuditLog(config.audit_log_path, rotation, clock.now)
    group.create_task(written.run())
    return Auditor(policy, written, clock.now)


async def _encrypted(config: ServerConfig, store: Store, clock: Clock) -> tuple[Store, OwnKeys | None]:
    """The store behind its encryption, if there is any, with everything in it sealed as it shall be."""
    own = config.data_dir / "server" / "cred" / "encryption-config.json"
    file = config.encryption_provider_config
    if file is None and not config.secrets_encryption and not own.exists():
        kept = await store.scan(f"{Layout.ROOT}core/secrets/", limit=1)
        if any(record.value.startswith(b"k8s:enc:") for record in kept.records):
            raise Unusable("what is stored is encrypted: give the --encryption-provider-config it was written with")
        return store, None
    from pylet.server.encryption.configuration import BadConfiguration, read
    from pylet.server.encryption.own_keys import OwnKeys
    from pylet.server.encryption.store import EncryptedStore

    own_keys = OwnKeys(own) if file is None else None
    try:
        if own_keys is not None:
            document = own_keys.ensure(clock.now())
        else:
            import yaml

            assert file is not None
            document = yaml.safe_load(file.read_text())
        encrypted = EncryptedStore(store, read(document))
        await encrypted.rewrite(Layout.ROOT)
    except (BadConfiguration, OSError, ValueError, StoreError) as bad:
        raise Unusable(f"cannot encrypt with {file or own}: {bad}") from bad
    return encrypted, own_keys


async def _secrets_encryption(store: Any, own_keys: OwnKeys | None, clock: Clock, action: str) -> Object:
    """What `pylet secrets-encrypt` asks for. Raises: ApiError."""
    if own_keys is None:
        raise BadRequest("the server does not run with --secrets-encryption")
    from pylet.server.encryption.own_keys import ACTIONS

    if not action:
        return own_keys.status()
    if action not in ACTIONS:
        raise BadRequest(f"no such action: {action}")
    written = await own_keys.change(action, store, clock.now())
    return {**own_keys.status(), "written": written}


@contextmanager
def _listening(config: ServerConfig) -> Iterator[socket.socket]:
    host, port = config.bind_address, config.https_listen_port
    shown = f"{_in_url(host or '*')}:{port}"
    try:
        found = (
            socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024)
            if host
            else _any_address(port)
        )
    except OSError as failed:
        why = os.strerror(failed.errno or 0)
        advice = "choose another --https-listen-port" if failed.errno == errno.EADDRINUSE else "check --bind-address"
        raise Unusable(f"cannot listen on {shown}: {why}; {advice}") from failed
    with found:
        yield found


def _any_address(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    return socket.create_server(("", port), backlog=1024)


@contextmanager
def _writable(data_dir: Path) -> Iterator[None]:
    try:
        (data_dir / "server").mkdir(parents=True, exist_ok=True, mode=0o700)
        yield
    except OSError as failed:
        why = os.strerror(failed.errno or 0)
        raise Unusable(f"cannot write below {data_dir}: {why}; choose another --data-dir") from failed


def _write_kubeconfig(config: ServerConfig, pki: Pki, ca: bytes, port: int) -> None:
    import yaml

    local = "127.0.0.1" if config.bind_address in (None, "0.0.0.0", "::") else str(config.bind_address)
    certificate, key = pki.admin.certificate.read_bytes(), pki.admin.key.read_bytes()
    content = kubeconfig.build(f"https://{_in_url(local)}:{port}", ca, certificate=certificate, key=key)
    try:
        write_private(config.write_kubeconfig, yaml.safe_dump(content).encode(), config.write_kubeconfig_mode)
    except OSError as failed:
        why = os.strerror(failed.errno or 0)
        raise Unusable(f"cannot write {config.write_kubeconfig}: {why}; choose another --write-kubeconfig") from failed


def _join_token(config: ServerConfig, pki: Pki) -> list[tuple[str, str]]:
    """The secrets agents join with, each with a name; the main one is kept in `server/token` with the CA's hash."""
    file = config.data_dir / "server" / "token"
    if config.token:
        secret = jointoken.parse(config.token).secret
    elif file.exists():
        secret = jointoken.parse(file.read_text()).secret
    else:
        secret = secrets.token_hex(16)
    pin = jointoken.ca_hash(pki.ca.certificate.read_bytes())
    text = f"{jointoken.JoinToken(secret, pin)}\n".encode()
    if not file.exists() or file.read_bytes() != text:
        write_private(file, text)
    found = [("pylet", secret)]
    if config.agent_token:
        found.append(("pylet-agent", jointoken.parse(config.agent_token).secret))
    return found


def _names(config: ServerConfig, address: str) -> list[str]:
    """Everything the serving certificate is valid for."""
    services_ip = str(ip_network(config.service_cidr)[1])
    cluster = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    cluster.append(f"kubernetes.default.svc.{config.cluster_domain}")
    bound = [config.bind_address] if config.bind_address and not ip_address(config.bind_address).is_unspecified else []
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname(), *cluster, services_ip, address, *bound]
    return list(dict.fromkeys([*names, *config.tls_san]))


def _advertised(config: ServerConfig) -> str:
    """The address others reach the server under: as told, else as bound, else that of the default route."""
    if config.advertise_address:
        return config.advertise_address
    if config.bind_address and not ip_address(config.bind_address).is_unspecified:
        return config.bind_address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks the routing table
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
