"""`/configz`: the KubeletConfiguration in effect, whether a file said it, a flag, or nobody. Loaded when somebody asks.

A key that no file may set (`fixed_fields`) says what is so here, which is not upstream's default everywhere: pylet
bounds neither its requests nor its events by number, and has no second port for its health.
Defaults: upstream `pkg/kubelet/apis/config/v1beta1/defaults.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pylet.agent.kubelet.config_values import span
from pylet.agent.kubelet.eviction import DEFAULT_HARD
from pylet.agent.kubelet.fixed_fields import FIXED, says_nothing
from pylet.api import goduration
from pylet.api.object import Object

HERE: Object = {
    "kind": "KubeletConfiguration",
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "authentication": {"x509": {}, "webhook": {"enabled": True, "cacheTTL": "0s"}, "anonymous": {"enabled": False}},
    "authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"}},
    "containerLogMaxWorkers": 1,
    "containerLogMonitorInterval": "10s",
    "cpuCFSQuota": True,
    "cpuCFSQuotaPeriod": "100ms",
    "crashLoopBackOff": {"maxContainerRestartPeriod": "5m0s"},
    "enableDebugFlagsHandler": False,
    "enableProfilingHandler": False,
    "enableSystemLogHandler": True,
    "enableSystemLogQuery": False,
    "enforceNodeAllocatable": ["pods"],
    "eventBurst": 0,
    "eventRecordQPS": 0,
    "evictionHard": DEFAULT_HARD,
    "evictionMaxPodGracePeriod": 0,
    "evictionPressureTransitionPeriod": "5m0s",
    "fileCheckFrequency": "0s",
    "hairpinMode": "hairpin-veth",
    "healthzBindAddress": "127.0.0.1",
    "healthzPort": 0,
    "httpCheckFrequency": "0s",
    "imageGCHighThresholdPercent": 85,
    "imageGCLowThresholdPercent": 80,
    "imageMaximumGCAge": "0s",
    "imageMinimumGCAge": "2m0s",
    "imagePullCredentialsVerificationPolicy": "NeverVerifyPreloadedImages",
    "containerLogMaxFiles": 5,
    "containerLogMaxSize": "10Mi",
    "cpuManagerPolicy": "none",
    "kubeAPIBurst": 0,
    "kubeAPIQPS": -1,
    "maxPods": 110,
    "memoryManagerPolicy": "None",
    "memorySwap": {},
    "mergeDefaultEvictionSettings": False,
    "nodeStatusMaxImages": 50,
    "nodeStatusReportFrequency": "5m0s",
    "nodeStatusUpdateFrequency": "10s",
    "oomScoreAdj": 0,
    "podPidsLimit": -1,
    "registryBurst": 0,
    "registryPullQPS": 0,
    "runtimeRequestTimeout": "2m0s",
    "seccompDefault": False,
    "serializeImagePulls": False,
    "shutdownGracePeriod": "0s",
    "shutdownGracePeriodCriticalPods": "0s",
    "staticPodPath": "/etc/pylet/manifests",
    "streamingConnectionIdleTimeout": "0s",
    "syncFrequency": "1m0s",
    "topologyManagerPolicy": "none",
    "topologyManagerScope": "container",
    "volumeStatsAggPeriod": "0s",
}


def effective(driver: str, flags: Mapping[str, Any], said: Mapping[str, Any]) -> Object:
    """`driver` makes the cgroups, `flags` are by the names of the configuration's keys; `said` is the file."""
    found = {**FIXED, **HERE, **flags}
    for name, value in said.items():
        if name == "evictionHard" or not says_nothing(value):
            found[name] = _as_go(value)
    found["cgroupDriver"] = driver  # the runtime's, whatever was said
    if said.get("mergeDefaultEvictionSettings"):
        found["evictionHard"] = {**DEFAULT_HARD, **(said.get("evictionHard") or {})}
    return dict(sorted(found.items()))


def _as_go(value: Any) -> Any:
    """Durations as Go writes them."""
    if isinstance(value, dict):
        return {name: _as_go(inner) for name, inner in value.items()}
    if isinstance(value, str) and value[:1].isdigit() and value[-1:] in "smh":
        try:
            return goduration.shown(span(value))
        except ValueError:
            return value
    return str(value) if isinstance(value, Path) else value
