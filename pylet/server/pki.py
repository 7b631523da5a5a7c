"""The cluster's keys: one CA that signs servers and clients, the service-account key, and what is made from them.

Everything lives below `<data-dir>/server/tls` in PEM files, keys readable by their owner alone. What the server needs
for itself is made by another interpreter: `cryptography` would be 10 MiB here for as long as this one lives.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pylet.aio import certificate
from pylet.aio.certificate import Pair
from pylet.aio.elsewhere import elsewhere
from pylet.aio.prometheus import gauges
from pylet.server.authority import Authority
from pylet.server.credentials import Proof
from pylet.version import WRITTEN

FRONT_PROXY = "front-proxy-client"
"""The name extension servers know the API server by."""
WARNED_BEFORE = timedelta(days=3 * 365)
"""The end of a CA, which is to be replaced by hand."""
_RENEW_DAYS = 90


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the files are."""

    directory: Path

    def _pair(self, stem: str) -> Pair:
        return Pair(self.directory / f"{stem}.crt", self.directory / f"{stem}.key")

    @property
    def ca(self) -> Pair:
        return self._pair("ca")

    @property
    def serving(self) -> Pair:
        return self._pair("serving-apiserver")

    @property
    def admin(self) -> Pair:
        return self._pair("client-admin")

    @property
    def kubelet_client(self) -> Pair:
        """What the API server proves itself with to kubelets."""
        return self._pair("client-apiserver-kubelet")

    @property
    def front_proxy_ca(self) -> Pair:
        """Signs whom extension servers believe about who asks: never a user's certificate, so not the cluster's CA."""
        return self._pair("front-proxy-ca")

    @property
    def front_proxy(self) -> Pair:
        """What the API server proves itself with to extension servers."""
        return self._pair("front-proxy-client")

    @property
    def service_account(self) -> Pair:
        """The key tokens are signed with; `certificate` is its public half."""
        return Pair(self.directory / "service-account.pub", self.directory / "service-account.key")

    def ensure(self, names: Sequence[str], now: datetime) -> bool:
        """Make what is missing, about to expire or not valid for `names` (host names and IPs); whether there was any.
        Raises: OSError."""
        now = max(now, WRITTEN)
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lasting = all(pair.exists() for pair in (self.ca, self.front_proxy_ca, self.service_account))
        leaves = (self.admin, self.kubelet_client, self.front_proxy)
        if lasting and _is_good(self.serving, now, names) and all(_is_good(leaf, now) for leaf in leaves):
            return False
        elsewhere(partial(self._make, names, now), unless_loaded="cryptography")
        return True

    def _make(self, names: Sequence[str], now: datetime) -> None:
        from pylet.server.issuing import new_ca, new_key_pair, new_leaf

        for authority in (self.ca, self.front_proxy_ca):
            if not authority.exists():
                authority.write(*new_ca(authority.certificate.stem, now))
        if not self.service_account.exists():
            self.service_account.write(*new_key_pair())
        if not _is_good(self.serving, now, names):
            self.serving.write(*new_leaf(self.ca, "pylet-apiserver", "", now, "server auth", names))
        if not _is_good(self.admin, now):
            self.admin.write(*new_leaf(self.ca, "system:admin", "system:masters", now, "client auth"))
        if not _is_good(self.kubelet_client, now):
            self.kubelet_client.write(*new_leaf(self.ca, "kube-apiserver", "system:masters", now, "client auth"))
        if not _is_good(self.front_proxy, now):
            self.front_proxy.write(*new_leaf(self.front_proxy_ca, FRONT_PROXY, "", now, "client auth"))

    def ends(self) -> dict[str, datetime]:
        """When each certificate ends, by the stem of its file."""
        pairs = (self.ca, self.front_proxy_ca, self.serving, self.admin, self.kubelet_client, self.front_proxy)
        return {pair.certificate.stem: certificate.read(pair.certificate).end for pair in pairs}

    def warnings(self, now: datetime) -> list[str]:
        """What nobody renews and will end within the next years."""
        authorities = {pair.certificate.stem for pair in (self.ca, self.front_proxy_ca)}
        soon = {stem: end for stem, end in self.ends().items() if stem in authorities and end - now < WARNED_BEFORE}
        return [
            f"the CA {self.directory / stem}.crt ends on {end:%Y-%m-%d}: nothing of this cluster is trusted after that"
            for stem, end in soon.items()
        ]

    def metrics(self) -> Iterator[str]:
        values = [({"certificate": stem}, end.timestamp()) for stem, end in self.ends().items()]
        yield from gauges("pylet_certificate_expiration_timestamp_seconds", "When certificates end.", values)

    def proof(self) -> Proof:
        """By which the server is known to itself, where it calls a webhook of its own."""
        pair = self.admin
        pem = pair.certificate.read_bytes() + pair.key.read_bytes()
        return Proof(pem, ca=self.ca.certificate.read_bytes())

    def server_context(self) -> ssl.SSLContext:
        """TLS for the API: a client certificate is asked for, and may be missing or over."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_OPTIONAL
        certificate.ignore_dates(context)
        context.set_alpn_protocols(["http/1.1"])
        self.serving.load_into(context)
        context.load_verify_locations(self.ca.certificate)
        context.load_verify_locations(self.front_proxy_ca.certificate)
        return context

    def front_proxy_issuer(self) -> Any:
        """Whose certificates front proxies bear, as `ssl` shows a certificate's issuer."""
        return ssl._ssl._test_decode_cert(str(self.front_proxy_ca.certificate))["subject"]  # type: ignore[attr-defined]

    def kubelet_context(self) -> ssl.SSLContext:
        """TLS to a kubelet, whose certificate the CA signed for the node's addresses."""
        context = ssl.create_default_context(cafile=str(self.ca.certificate))
        certificate.ignore_dates(context)
        self.kubelet_client.load_into(context)
        return context

    def blind_kubelet_context(self) -> ssl.SSLContext:
        """TLS to whoever answers in a kubelet's place."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.kubelet_client.load_into(context)
        return context

    def authority(self, clock: Callable[[], datetime]) -> Authority:
        return Authority(self.ca, clock)


def _is_good(pair: Pair, now: datetime, names: Sequence[str] = ()) -> bool:
    """Whether the pair is there, stays valid for a while and covers `names`."""
    if not pair.exists():
        return False
    try:
        found = certificate.read(pair.certificate)
    except ValueError:
        return False
    return found.end - now >= timedelta(days=_RENEW_DAYS) and all(map(found.covers, names))
