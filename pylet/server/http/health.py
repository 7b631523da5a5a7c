"""Health for probes and people: /healthz, /livez and /readyz, whole, verbose or one check at a time; /metrics/slis.

Checks are named as upstream's are. What the hooks' names stand for is all done before the server says it has started.
Source: apiserver pkg/server/healthz/healthz.go; component-base metrics/prometheus/slis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from pylet.aio.prometheus import counts, gauges
from pylet.api.causes import quoted
from pylet.server.http.answer import Answer

ROOTS = ("healthz", "livez", "readyz")
_ALIVE = ("ping", "log", "loopback-serving-certificate", "etcd")
_STARTED = (
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
)
_CHECKS = {
    "healthz": (*_ALIVE, *_STARTED),
    "livez": (*_ALIVE, *_STARTED),
    "readyz": ("ping", "log", "etcd", "etcd-readiness", "informer-sync", *_STARTED, "shutdown"),
}


class Health:
    def __init__(self, is_started: Callable[[], bool]) -> None:
        self._is_started = is_started
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def answer(self, path: str, query: Mapping[str, str], excluded: Collection[str]) -> Answer:
        _, root, *rest = path.split("/", 2)
        checks = _CHECKS[root]
        if rest:
            name = rest[0]
            if name not in checks:
                return Answer.text("404 page not found\n", 404)
            return (
                Answer.text("ok") if self._is_fine(name) else Answer.text("internal server error: not finished\n", 500)
            )
        lines, failed = [], False
        for check in checks:
            if check in excluded:
                lines.append(f"[+]{check} excluded: ok\n")
                continue
            is_fine = self._is_fine(check)
            self._counts[root, check, "success" if is_fine else "error"] += 1
            lines.append(f"[+]{check} ok\n" if is_fine else f"[-]{check} failed: reason withheld\n")
            failed |= not is_fine
        if unknown := sorted(set(excluded) - set(checks)):
            named = ",".join(map(quoted, unknown))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {named}\n")
        if failed:
            return Answer.text("".join(lines) + f"{root} check failed\n", 500)
        return Answer.text("".join(lines) + f"{root} check passed\n" if "verbose" in query else "ok")

    def paths(self) -> Iterator[str]:
        for root, checks in _CHECKS.items():
            yield f"/{root}"
            yield from (f"/{root}/{check}" for check in checks)

    def indicators(self) -> Iterator[str]:
        """Lines of /metrics/slis: how each check stands that was asked for, and how often it went which way."""
        states = [
            ({"name": check, "type": root}, int(self._is_fine(check)))
            for root, check in sorted({(root, check) for root, check, _ in self._counts})
        ]
        yield from gauges("kubernetes_healthcheck", "Whether a check succeeds.", states)
        results = [
            ({"name": check, "status": status, "type": root}, times)
            for (root, check, status), times in sorted(self._counts.items())
        ]
        yield from counts("kubernetes_healthchecks_total", "Checks by result.", results)

    def _is_fine(self, check: str) -> bool:
        return check not in _STARTED or self._is_started()
