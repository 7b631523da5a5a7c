"""ServiceCIDRs: said to be ready, and kept while addresses of Services come from nowhere else.

Source: upstream `pkg/controller/servicecidrs/servicecidrs_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from pylet.api.kinds.ipaddress import KIND as IP_ADDRESS
from pylet.api.kinds.ipaddress import is_managed
from pylet.api.kinds.servicecidr import FINALIZER
from pylet.api.kinds.servicecidr import KIND as SERVICE_CIDR
from pylet.api.object import Key, Object, conditions_of, is_terminating
from pylet.api.timestamps import parse
from pylet.client.view import Entry, View
from pylet.server.reconcile.conditions import with_condition
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Patch, Plan, Watch, patch_status

_READY = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
_TERMINATING = {
    "type": "Ready",
    "status": "False",
    "reason": "Terminating",
    "message": "There are still IPAddresses referencing the ServiceCIDR, "
    "please remove them or create a new ServiceCIDR",
}
_GRACE = timedelta(seconds=10)  # upstream's deletionGracePeriod: until every allocator has heard


def plan(key: Key, view: View, now: datetime) -> Plan:
    cidr = view.get(SERVICE_CIDR, key)
    if cidr is None:
        return NOTHING
    finalizers = cidr["metadata"].get("finalizers") or []
    if not is_terminating(cidr):
        kept: tuple[Action, ...] = () if FINALIZER in finalizers else (_finalizers(key, [*finalizers, FINALIZER]),)
        return Plan((*kept, *_condition(cidr, _READY, now)))
    if FINALIZER not in finalizers:
        return NOTHING
    if not _may_go(cidr, view):
        return Plan(_condition(cidr, _TERMINATING, now))
    left = parse(cidr["metadata"]["deletionTimestamp"]) + _GRACE - now
    if left > timedelta(0):
        return Plan(again_after=left)
    return Plan((_finalizers(key, [name for name in finalizers if name != FINALIZER]),))


def _finalizers(key: Key, finalizers: list[str]) -> Patch:
    return Patch(SERVICE_CIDR, key, {"metadata": {"finalizers": finalizers}})


def _condition(cidr: Object, wanted: Object, now: datetime) -> tuple[Action, ...]:
    return patch_status(SERVICE_CIDR, cidr, {"conditions": with_condition(conditions_of(cidr), wanted, now)})


def _may_go(cidr: Object, view: View) -> bool:
    """Whether other ServiceCIDRs contain it, or at least every address it alone could have given."""
    others = [
        network
        for other in view.select(SERVICE_CIDR)
        if other["metadata"]["name"] != cidr["metadata"]["name"]
        for network in _networks(other)
    ]
    own = list(_networks(cidr))
    if all(any(_contains(other, network) for other in others) for network in own):
        return True
    return all(
        any(address in network for network in others) or not any(address in network for network in own)
        for address in (ip_address(entry.key.name) for entry in _managed(view))
    )


def _managed(view: View) -> Iterator[Entry]:
    return (entry for entry in view.table(IP_ADDRESS).entries.values() if is_managed(entry.labels))


def _networks(cidr: Object) -> Iterator[IPv4Network | IPv6Network]:
    return (_network(text) for text in cidr["spec"].get("cidrs") or ())


@lru_cache(64)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)


def _contains(big: IPv4Network | IPv6Network, small: IPv4Network | IPv6Network) -> bool:
    return big.version == small.version and big.prefixlen <= small.prefixlen and small.network_address in big


def _all(entry: Entry, view: View) -> Iterable[Key]:
    """Any change may let others go."""
    yield entry.key
    yield from (key for key in view.table(SERVICE_CIDR).entries if key != entry.key)


def _terminating(entry: Entry, view: View) -> Iterable[Key]:
    rows = view.table(SERVICE_CIDR).entries
    yield from (key for key, cidr in rows.items() if b'"deletionTimestamp"' in cidr.raw)


CONTROLLER = Controller("service-cidr", (Watch(SERVICE_CIDR, _all), Watch(IP_ADDRESS, _terminating)), plan)
