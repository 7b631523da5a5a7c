"""Fields of a KubeletConfiguration (v1.36) that cannot be set: what they are here, or which flag says it.

Source: upstream `staging/src/k8s.io/kubelet/config/v1beta1/types.go`. Loaded where a file names one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FLAGS = {
    "address": "--bind-address",
    "port": "--kubelet-port",
    "clusterDNS": "--cluster-dns of the server",
    "clusterDomain": "--cluster-domain of the server",
    "podCIDR": "--cluster-cidr of the server",
    "cgroupRoot": "--cgroup-root",
    "containerRuntimeEndpoint": "--container-runtime-endpoint",
    "imageServiceEndpoint": "--container-runtime-endpoint",
    "podLogsDir": "--pod-log-dir",
    "registerWithTaints": "--node-taint",
    "resolvConf": "--resolv-conf",
}

_VALUES: dict[str, tuple[Any, ...]] = {
    "cgroupsPerQOS": (True,),
    "configMapAndSecretChangeDetectionStrategy": ("Watch",),
    "contentType": ("application/json",),
    "cpuManagerReconcilePeriod": ("10s",),
    "enableControllerAttachDetach": (True,),
    "enableDebuggingHandlers": (True,),
    "enableServer": (True,),
    "failCgroupV1": (False,),
    "failSwapOn": (False,),
    "localStorageCapacityIsolation": (True,),
    "logging": ({},),
    "makeIPTablesUtilChains": (False,),
    "nodeLeaseDurationSeconds": (40,),
    "protectKernelDefaults": (False,),
    "readOnlyPort": (0,),
    "registerNode": (True,),
    "rotateCertificates": (True,),
    "runOnce": (False,),
    "serverTLSBootstrap": (True,),
    "staticPodURL": ("",),
    "volumePluginDir": ("",),
}
"""As they are here; a file may say so."""

FIXED = {name: values[0] for name, values in _VALUES.items()}

_OTHERS = frozenset(
    (
        "authentication",
        "authorization",
        "enableContentionProfiling",
        "enableDebugFlagsHandler",
        "enableProfilingHandler",
        "eventBurst",
        "eventRecordQPS",
        "featureGates",
        "fileCheckFrequency",
        "hairpinMode",
        "httpCheckFrequency",
        "iptablesDropBit",
        "iptablesMasqueradeBit",
        "kernelMemcgNotification",
        "kubeAPIBurst",
        "kubeAPIQPS",
        "kubeletCgroups",
        "maxOpenFiles",
        "memoryReservationPolicy",
        "memoryThrottlingFactor",
        "nodeStatusReportFrequency",
        "nodeStatusUpdateFrequency",
        "oomScoreAdj",
        "qosReserved",
        "registryBurst",
        "registryPullQPS",
        "runtimeRequestTimeout",
        "showHiddenMetricsForVersion",
        "staticPodURLHeader",
        "streamingConnectionIdleTimeout",
        "syncFrequency",
        "systemCgroups",
        "tlsCertFile",
        "tlsCipherSuites",
        "tlsCurvePreferences",
        "tlsMinVersion",
        "tlsPrivateKeyFile",
        "tracing",
        "volumeStatsAggPeriod",
    )
)


def objection(name: str, value: Any, flags: Mapping[str, Any]) -> str | None:
    """Why the file cannot be followed; None where it says what is so, or nothing. `flags` have what these say."""
    is_known = name in _FLAGS or name in _VALUES or name in _OTHERS
    if is_known and (says_nothing(value) or _is_zero(value) or (name in flags and value == flags[name])):
        return None
    if flag := _FLAGS.get(name):
        return f"{name}: pylet takes it from {flag}"
    if name in _VALUES:
        if value in _VALUES[name]:
            return None
        return f"{name}: pylet does not let it be set; it is {_VALUES[name][0]!r}"
    if not is_known:
        return f'unknown field "{name}"'
    from pylet.agent.kubelet.configz import HERE

    return None if name in HERE and _agrees(value, HERE[name]) else f"{name}: pylet does not let it be set"


def says_nothing(value: Any) -> bool:
    """Go's zero, which files that are written by programs say of all that they leave alone."""
    if isinstance(value, dict):
        return all(says_nothing(each) or _is_zero(each) for each in value.values())
    return value in (None, "", "0s", "0", [])


def _is_zero(value: Any) -> bool:
    return value == 0 and value is not False


def _agrees(said: Any, so: Any) -> bool:
    if isinstance(said, dict) and isinstance(so, dict):
        return all(says_nothing(value) or (name in so and _agrees(value, so[name])) for name, value in said.items())
    return bool(said == so)
