"""Where a server lives: its files, where it listens, what it is known by, its first kubeconfig and token."""

from __future__ import annotations

import errno
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

from pylet.aio import folderlock, wholefile
from pylet.aio.prometheus import gauge
from pylet.api import jointoken
from pylet.api.ip import in_url
from pylet.client import kubeconfig
from pylet.server.config import ServerConfig
from pylet.server.pki import Pki


class Unusable(Exception):
    """The server cannot start as it is configured; the message says what to change."""


@contextmanager
def listening(config: ServerConfig) -> Iterator[socket.socket]:
    host, port = config.bind_address, config.https_listen_port
    shown = f"{in_url(host or '*')}:{port}"
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
def held(data_dir: Path) -> Iterator[None]:
    """Have the folder alone: two servers would write over each other."""
    with ExitStack() as until_the_end:
        with writable(data_dir):
            folder = data_dir / "server"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                until_the_end.enter_context(folderlock.hold(folder))
            except folderlock.Held as other:
                raise Unusable(f"{other}: stop that one, or choose another --data-dir") from other
        yield


@contextmanager
def writable(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failed:
        why = os.strerror(failed.errno or 0)
        raise Unusable(f"cannot write {failed.filename or data_dir}: {why}; choose another --data-dir") from failed


def write_kubeconfig(config: ServerConfig, pki: Pki, port: int) -> None:
    local = "127.0.0.1" if config.bind_address in (None, "0.0.0.0", "::") else str(config.bind_address)
    ca, certificate, key = (f.read_bytes() for f in (pki.ca.certificate, pki.admin.certificate, pki.admin.key))
    content = kubeconfig.build(f"https://{in_url(local)}:{port}", ca, certificate=certificate, key=key)
    try:
        wholefile.write(config.write_kubeconfig, content.encode(), config.write_kubeconfig_mode)
    except OSError as failed:
        why = os.strerror(failed.errno or 0)
        raise Unusable(f"cannot write {config.write_kubeconfig}: {why}; choose another --write-kubeconfig") from failed


def join_token(config: ServerConfig, pki: Pki) -> list[tuple[str, str]]:
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
        wholefile.write(file, text, durable=True)
    found = [("pylet", secret)]
    if config.agent_token:
        found.append(("pylet-agent", jointoken.parse(config.agent_token).secret))
    return found


def names(config: ServerConfig, address: str) -> list[str]:
    """Everything the serving certificate is valid for."""
    services_ips = [str(ip_network(cidr)[1]) for cidr in config.service_cidr.split(",")]
    cluster = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    cluster.append(f"kubernetes.default.svc.{config.cluster_domain}")
    bound = [config.bind_address] if config.bind_address and not ip_address(config.bind_address).is_unspecified else []
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname(), *cluster, *services_ips, address, *bound]
    return list(dict.fromkeys([*names, *config.tls_san]))


def advertised(config: ServerConfig) -> str:
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


def storage_size(data_dir: Path) -> Iterator[str]:
    """What the database takes on disk, as a metric; nothing where it is elsewhere."""
    size = sum(file.stat().st_size for file in (data_dir / "server").glob("db.sqlite*"))
    if size:
        yield from gauge("apiserver_storage_size_bytes", "The database.", {"storage_cluster_id": "sqlite"}, size)
