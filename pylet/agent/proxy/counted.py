"""What the proxy counts: how long its rules take to write, and how late they are. Source: pkg/proxy/metrics/metrics.go.

One table has the rules of all IP families, so what is written counts for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from pylet.aio.clock import Clock
from pylet.aio.prometheus import Counter, Histogram, doubling, gauge, gauges
from pylet.api import timestamps
from pylet.api.object import Key, annotations_of
from pylet.client.view import Entry

_PREFIX = "kubeproxy_sync_proxy_rules_"
_SECONDS = doubling(0.001, 15)
_DELAYS = (0.25, 0.5, *range(1, 60), *range(60, 120, 5), *range(120, 301, 30))
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
_OF = ("ip_family",)


class Counted:
    def __init__(self, clock: Clock, families: tuple[str, ...]) -> None:
        """`families` are those that this node has addresses of."""
        self._clock, self._families = clock, families
        self._began = clock.now()
        self._all = Histogram(f"{_PREFIX}duration_seconds", "Writing rules.", _OF, _SECONDS)
        self._whole = Histogram("kubeproxy_sync_full_proxy_rules_duration_seconds", "All of them.", _OF, _SECONDS)
        self._part = Histogram("kubeproxy_sync_partial_proxy_rules_duration_seconds", "Changed ones.", _OF, _SECONDS)
        self._failures = Counter(f"{_PREFIX}nftables_sync_failures_total", "Rules that the kernel refused.", _OF)
        self._late = Histogram(
            "kubeproxy_network_programming_duration_seconds", "From changes of endpoints to their rules.", _OF, _DELAYS
        )
        self._services = Counter(f"{_PREFIX}service_changes_total", "Changes of Services.")
        self._endpoints = Counter(f"{_PREFIX}endpoint_changes_total", "Changes of their endpoints.")
        self.answers = {
            "/healthz": Counter("kubeproxy_proxy_healthz_total", "Who asked whether traffic is taken.", ("code",)),
            "/livez": Counter("kubeproxy_proxy_livez_total", "Who asked whether rules are written.", ("code",)),
        }
        self._queued_at = self._written_at = 0.0
        self._triggers: dict[Key, datetime] = {}  # of Services whose rules are still to be written

    def service_changed(self) -> None:
        self._services.add()
        self._queued_at = self._clock.now().timestamp()

    def endpoints_changed(self, services: Iterable[Key], after: Entry | None) -> None:
        self._endpoints.add()
        self._queued_at = self._clock.now().timestamp()
        if after is None or _TRIGGER.encode() not in after.raw:
            return
        at = _parsed(annotations_of(after.object).get(_TRIGGER, ""))
        if at is not None and at > self._began:
            for service in services:
                self._triggers.setdefault(service, at)

    @contextmanager
    def writing(self, *, whole: bool) -> Iterator[None]:
        began = self._clock.monotonic()
        yield
        now, took = self._clock.now(), self._clock.monotonic() - began
        self._written_at = now.timestamp()
        triggers, self._triggers = self._triggers, {}
        for family in self._families:
            self._all.observe(took, family)
            (self._whole if whole else self._part).observe(took, family)
            for at in triggers.values():
                self._late.observe((now - at).total_seconds(), family)

    def failed(self) -> None:
        for family in self._families:
            self._failures.add(family)

    def lines(self, services_waiting: int) -> Iterator[str]:
        """`services_waiting` are those whose rules are still to be written."""
        for counter in (self._failures, self._services, self._endpoints, *self.answers.values()):
            yield from counter.lines()
        for each in (self._all, self._whole, self._part, self._late):
            yield from each.lines()
        for name, help_, at in (
            ("last_timestamp_seconds", "When rules were written last.", self._written_at),
            ("last_queued_timestamp_seconds", "When something was to be written last.", self._queued_at),
        ):
            yield from gauges(_PREFIX + name, help_, [({"ip_family": family}, at) for family in self._families])
        yield from gauge(f"{_PREFIX}service_changes_pending", "Services to be written.", {}, services_waiting)


def _parsed(moment: str) -> datetime | None:
    """Anybody may have written it."""
    try:
        return timestamps.parse(moment)
    except ValueError:
        return None
