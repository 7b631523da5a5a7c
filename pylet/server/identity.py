"""The Lease by which an API server says that it is there: clients count them, and other servers of the cluster would.

Upstream writes it every ten seconds. Its hour allows more rest than that, and it is kept in memory only
(`form.VOLATILE`): a server that is gone leaves none. Sources: apiserver pkg/server/config.go (its name),
pkg/controlplane/apiserver/server.go.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import uuid

from pylet.aio.clock import Clock
from pylet.api.errors import ApiError, NotFound
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.object import Key, Object
from pylet.api.timestamps import format_micro
from pylet.client.interface import Client

log = logging.getLogger(__name__)

_COMPONENT = "kube-apiserver"
_VALID_SECONDS = 3600
_RENEW_SECONDS = 600
_RETRY_SECONDS = 10


def name_of(host: str) -> str:
    told = b"".join(len(part).to_bytes(2, "big") + part for part in (host.encode(), _COMPONENT.encode()))
    return f"apiserver-{base64.b32encode(hashlib.sha256(told).digest()[:16]).decode().rstrip('=').lower()}"


async def keep(client: Client, clock: Clock, host: str) -> None:
    """Have the Lease of the API server on that host, until cancelled."""
    name = name_of(host)
    holder = f"{name}_{uuid.uuid4()}"
    while True:
        spec: Object = {
            "holderIdentity": holder,
            "leaseDurationSeconds": _VALID_SECONDS,
            "renewTime": format_micro(clock.now()),
        }
        try:
            await _write(client, name, host, spec)
        except ApiError as failed:
            log.warning("the lease of this API server: %s; again in %d s", failed.message, _RETRY_SECONDS)
            await clock.sleep(_RETRY_SECONDS)
        else:
            await clock.sleep(_RENEW_SECONDS)


async def _write(client: Client, name: str, host: str, spec: Object) -> None:
    key = Key("kube-system", name)
    try:
        await client.patch(LEASE, key, {"spec": spec})
    except NotFound:
        labels = {"apiserver.kubernetes.io/identity": _COMPONENT, "kubernetes.io/hostname": host}
        meta = {"name": name, "namespace": key.namespace, "labels": labels}
        await client.create(
            LEASE, {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": meta, "spec": spec}
        )
