"""Makes the bandwidth that pods' annotations allow them a bound from their first byte on.

The CNI plugin `bandwidth` puts a token bucket on a pod's links, of the size its runtime says; containerd says "without
end", and a pod would send a quarter of a gigabyte before it is slowed down. Such a bucket gets a size that fits.
Sources: linux/pkt_sched.h, net/sched/sch_tbf.c.
"""

from __future__ import annotations

import logging
import struct

from pylet.agent import netlink
from pylet.agent.netlink import Message, Netlink, NetlinkError, Subscription, attribute, attributes, nested

log = logging.getLogger(__name__)

_NEW, _GET = 36, 38
_GROUP = 4
_HEAD = struct.Struct("=BxxxiIII")  # family, link, handle, parent, info
_KIND, _OPTIONS = 1, 2
_PARAMETERS, _RATE64, _BURST = 1, 4, 6
_BUCKET = struct.Struct("=8xI12xIII")  # rate, limit, buffer, mtu; what is skipped is of rates and their peaks
_TICK_SECONDS = 64e-9
_LONGEST_SECONDS = 1.0
"""A bucket that lasts longer was not meant."""
_SECONDS, _LEAST_BYTES = 0.05, 32768
_QUEUE_SECONDS = 0.025  # as the plugin has it


def watch() -> Subscription:
    """Correct what there is now and what comes while the subscription is entered."""
    with Netlink(netlink.ROUTE) as kernel:
        for message in kernel.dump(_GET, _HEAD.pack(0, 0, 0, 0, 0)):
            _correct(message)
    return Subscription(netlink.ROUTE, (_GROUP,), _correct)


def _correct(message: Message | None) -> None:
    wanted = corrected(message) if message is not None and message.kind == _NEW else b""
    if wanted:
        try:
            with Netlink(netlink.ROUTE) as kernel:
                kernel.call(_NEW, wanted)
        except NetlinkError as refused:  # the pod may be gone already
            log.warning("a pod's bandwidth is not bounded as it should be: %s", refused)


def corrected(message: Message) -> bytes:
    """The request that makes an endless bucket one that fits; b"" where there is nothing to correct. Pure."""
    values = attributes(message.body, _HEAD.size)
    options = attributes(values.get(_OPTIONS, b""))
    if values.get(_KIND) != b"tbf\0" or len(options.get(_PARAMETERS, b"")) != _BUCKET.size:
        return b""
    rate, _, ticks, _ = _BUCKET.unpack(options[_PARAMETERS])
    if _RATE64 in options:
        rate = struct.unpack("=Q", options[_RATE64])[0]
    if ticks * _TICK_SECONDS <= _LONGEST_SECONDS:
        return b""
    burst = max(int(rate * _SECONDS), _LEAST_BYTES)
    parameters = bytearray(options[_PARAMETERS])
    struct.pack_into("=II", parameters, 24, int(rate * _QUEUE_SECONDS) + burst, int(burst / rate / _TICK_SECONDS))
    same = [attribute(_RATE64, options[_RATE64])] if _RATE64 in options else []
    size = attribute(_BURST, struct.pack("=I", burst))
    return (
        message.body[: _HEAD.size]
        + attribute(_KIND, b"tbf\0")
        + nested(_OPTIONS, attribute(_PARAMETERS, bytes(parameters)), *same, size)
    )
