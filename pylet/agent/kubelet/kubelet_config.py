"""The kubelet's configuration file: what of a KubeletConfiguration (kubelet.config.k8s.io/v1beta1) pylet lets be set.

What is unknown, or known but fixed here, is refused by name: a setting must not be believed and not be followed.
Defaults: upstream `pkg/kubelet/apis/config/v1beta1/defaults.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pylet.agent.kubelet import eviction
from pylet.agent.kubelet.backoff import LONGEST
from pylet.agent.kubelet.config_values import BadConfig, flag, one_of, port, size, span, spans, texts, whole
from pylet.agent.kubelet.eviction import DEFAULT_HARD, BadThreshold, Policy
from pylet.agent.kubelet.group_names import CGROUPFS, SYSTEMD
from pylet.agent.kubelet.image_gc import ImagePolicy
from pylet.agent.kubelet.logrotation import LogBounds
from pylet.agent.kubelet.node_allocatable import PODS, Kept, kept, ways
from pylet.agent.kubelet.pull_records import POLICIES, Verification, check_pattern
from pylet.agent.kubelet.shutdown import Phase, two_phases
from pylet.api.object import Object
from pylet.api.quantity import Quantity, parse

if TYPE_CHECKING:
    from pylet.agent.kubelet.placement.settings import Settings as Placement

_SYSCTL = re.compile(r"(kernel\.(sem|shm|msg)|fs\.mqueue\.|net\.)[a-z0-9_.-]*\*?")
"""Of namespaces alone: what is the machine's is no pod's to set."""
_RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")


@dataclass(frozen=True, slots=True)
class KubeletConfig:
    eviction: Policy = Policy(eviction.thresholds(DEFAULT_HARD))  # noqa: RUF009 - immutable
    image_gc: ImagePolicy = ImagePolicy()  # noqa: RUF009 - immutable
    max_pods: int = 110
    pod_pids_limit: int = -1
    reserved: tuple[tuple[str, Quantity], ...] = ()
    """Of the machine and of Kubernetes, together; by resource, as often as it is named."""
    log_bounds: LogBounds = LogBounds()  # noqa: RUF009 - immutable
    images_reported: int = 50
    static_pod_path: Path | None = None
    placement: Placement | None = None
    """Where pods run; None is wherever the kernel puts them."""
    verification: Verification = Verification()  # noqa: RUF009 - immutable
    shutdown: tuple[Phase, ...] = ()
    """How long pods have to end before the machine goes down; none: nobody waits for them."""
    pods_per_core: int = 0
    """0 is no bound."""
    pulls_at_once: int | None = None
    longest_back_off: timedelta = LONGEST
    unsafe_sysctls: tuple[str, ...] = ()
    seccomp_default: bool = False
    ids_per_pod: int = 65536
    cgroup_driver: str = CGROUPFS
    """Where the runtime does not say which it has."""
    may_swap: bool = False
    quota_period_micros: int | None = 100_000
    """None holds nobody back."""
    kept: tuple[Kept, ...] = ()
    """Groups that are bounded, too."""
    bounds_pods: bool = True
    """Whether all pods together are held to what is left for them."""
    provider_id: str = ""
    kills_one_process: bool | None = None
    """Whether memory that runs out ends one process of a container, not all; None is as cgroups have it."""
    said: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The file as it is."""

    @property
    def bounds(self) -> tuple[tuple[str, Quantity], ...]:
        """What all pods together are made to leave to the others."""
        return self.reserved if self.bounds_pods else ()


DEFAULT = KubeletConfig()
NO_FLAGS: Mapping[str, Any] = MappingProxyType({})


def fields_of(found: Object, flags: Mapping[str, Any] = NO_FLAGS) -> dict[str, Any]:
    """What is said, each field by itself; `flags` as for `from_object`. Raises: BadConfig."""
    kind = found.get("kind", "KubeletConfiguration"), found.get("apiVersion", "kubelet.config.k8s.io/v1beta1")
    if kind != ("KubeletConfiguration", "kubelet.config.k8s.io/v1beta1"):
        raise BadConfig(f"kind {kind[0]!r} of {kind[1]!r} is no KubeletConfiguration of kubelet.config.k8s.io/v1beta1")
    fields = {**_FIELDS, **_placement_fields(found)}
    _refuse_fixed({name: text for name, text in found.items() if name not in (*fields, "kind", "apiVersion")}, flags)
    value: dict[str, Any] = {}
    for name, text in found.items():
        if name in fields and text not in (None, ""):
            try:
                value[name] = fields[name](text)
            except (ValueError, TypeError, AttributeError) as bad:
                raise BadConfig(f"{name}: {bad}") from bad
    return value


def from_object(found: Object, flags: Mapping[str, Any] = NO_FLAGS) -> KubeletConfig:
    """`flags` is what flags say, by the names of fields: a file may say the same. Raises: BadConfig."""
    value = fields_of(found, flags)
    images = _image_policy(value)
    for name, least in (("maxPods", 0), ("podsPerCore", 0), ("nodeStatusMaxImages", -1)):
        if value.get(name, 0) < least:
            words = f"must be {least} or greater" if least else "must not be a negative number"
            raise BadConfig(f"{name}: {value[name]} {words}")
    if value.get("enableSystemLogQuery") and not value.get("enableSystemLogHandler", True):
        raise BadConfig("enableSystemLogHandler is required for enableSystemLogQuery")
    return KubeletConfig(
        eviction=_eviction_policy(value),
        image_gc=images,
        max_pods=value.get("maxPods", DEFAULT.max_pods),
        pod_pids_limit=value.get("podPidsLimit", DEFAULT.pod_pids_limit),
        reserved=_reserved(value),
        log_bounds=_log_bounds(value),
        images_reported=value.get("nodeStatusMaxImages", DEFAULT.images_reported),
        static_pod_path=value.get("staticPodPath"),
        placement=_placement(value) if any(name in value for name in _PLACEMENT) else None,
        verification=_verification(value),
        shutdown=_shutdown(value),
        pods_per_core=value.get("podsPerCore", DEFAULT.pods_per_core),
        pulls_at_once=_pulls_at_once(value),
        longest_back_off=value.get("crashLoopBackOff", DEFAULT.longest_back_off),
        unsafe_sysctls=value.get("allowedUnsafeSysctls", DEFAULT.unsafe_sysctls),
        seccomp_default=value.get("seccompDefault", DEFAULT.seccomp_default),
        ids_per_pod=value.get("userNamespaces", DEFAULT.ids_per_pod),
        cgroup_driver=value.get("cgroupDriver") or DEFAULT.cgroup_driver,
        may_swap=value.get("memorySwap", DEFAULT.may_swap),
        quota_period_micros=_cpu_quota_period(value),
        kept=_kept(value),
        bounds_pods=_bounds_pods(value),
        provider_id=value.get("providerID", ""),
        kills_one_process=value.get("singleProcessOOMKill"),
        said=found,
    )


def _refuse_fixed(found: Object, flags: Mapping[str, Any]) -> None:
    if found:
        from pylet.agent.kubelet.fixed_fields import objection

        for name, text in found.items():
            if words := objection(name, text, flags):
                raise BadConfig(words)


def _reserved(value: Mapping[str, Any]) -> tuple[tuple[str, Quantity], ...]:
    """CPUs that are reserved by name are what is reserved of CPUs."""
    kept = (*value.get("systemReserved", ()), *value.get("kubeReserved", ()))
    if cpus := value.get("reservedSystemCPUs"):
        kept = (*(pair for pair in kept if pair[0] != "cpu"), ("cpu", parse(str(len(cpus)))))
    return kept


def _kept(value: Mapping[str, Any]) -> tuple[Kept, ...]:
    try:
        return kept(value)
    except ValueError as bad:
        raise BadConfig(str(bad)) from bad


def _cpu_quota_period(value: Mapping[str, Any]) -> int | None:
    if not value.get("cpuCFSQuota", True):
        return None
    micros: int | None = value.get("cpuCFSQuotaPeriod", DEFAULT.quota_period_micros)
    return micros


def _bounds_pods(value: Mapping[str, Any]) -> bool:
    return PODS in value.get("enforceNodeAllocatable", (PODS,))


def _placement_fields(found: Object) -> Mapping[str, Callable[[Any], Any]]:
    """Loaded where one is set."""
    if not any(name in found for name in _PLACEMENT):
        return {}
    from pylet.agent.kubelet.placement.settings import FIELDS

    return FIELDS


def _placement(value: Mapping[str, Any]) -> Placement | None:
    from pylet.agent.kubelet.placement.settings import settings

    try:
        placement = settings(value)
    except ValueError as bad:
        raise BadConfig(str(bad)) from bad
    return None if placement.is_idle else placement


def _eviction_policy(value: Mapping[str, Any]) -> Policy:
    hard = value.get("evictionHard", DEFAULT_HARD)
    if value.get("mergeDefaultEvictionSettings"):
        hard = {**DEFAULT_HARD, **hard}
    try:
        found = eviction.thresholds(
            hard,
            value.get("evictionSoft"),
            value.get("evictionSoftGracePeriod"),
            value.get("evictionMinimumReclaim"),
            of_pods=_bounds_pods(value),
        )
    except BadThreshold as bad:
        raise BadConfig(str(bad)) from bad
    transition = value.get("evictionPressureTransitionPeriod") or timedelta(minutes=5)
    return Policy(found, transition, value.get("evictionMaxPodGracePeriod", 0))


def _image_policy(value: Mapping[str, Any]) -> ImagePolicy:
    high = value.get("imageGCHighThresholdPercent", 85)
    low = value.get("imageGCLowThresholdPercent", 80)
    for name, percent in (("imageGCHighThresholdPercent", high), ("imageGCLowThresholdPercent", low)):
        if not 0 <= percent <= 100:
            raise BadConfig(f"{name}: {percent} must be between 0 and 100, inclusive")
    if low >= high:
        raise BadConfig(f"imageGCLowThresholdPercent: {low} must be less than imageGCHighThresholdPercent {high}")
    least = value.get("imageMinimumGCAge") or timedelta(minutes=2)
    most = value.get("imageMaximumGCAge", timedelta(0))
    if timedelta(0) < most <= least:
        raise BadConfig(f"imageMaximumGCAge: {most} must be greater than imageMinimumGCAge {least}")
    return ImagePolicy(high, low, least, most)


def _log_bounds(value: Mapping[str, Any]) -> LogBounds:
    so = DEFAULT.log_bounds
    interval = value.get("containerLogMonitorInterval") or timedelta(seconds=so.look_seconds)
    files, workers = value.get("containerLogMaxFiles", so.most_files), value.get("containerLogMaxWorkers", so.workers)
    if files < 2:
        raise BadConfig(f"containerLogMaxFiles: {files} must be greater than 1")
    if workers < 1:
        raise BadConfig(f"containerLogMaxWorkers: {workers} must be greater than or equal to 1")
    if interval < timedelta(seconds=3):
        raise BadConfig(f"containerLogMonitorInterval: {interval} must be greater than or equal to 3s")
    return LogBounds(value.get("containerLogMaxSize", so.most_bytes), files, workers, interval.total_seconds())


def _pulls_at_once(value: Mapping[str, Any]) -> int | None:
    most, one_by_one = value.get("maxParallelImagePulls"), value.get("serializeImagePulls", False)
    if most is not None and most < 1:
        raise BadConfig(f"maxParallelImagePulls: {most} must be a positive number")
    if one_by_one and (most or 1) > 1:
        raise BadConfig("maxParallelImagePulls cannot be larger than 1 unless serializeImagePulls is set to false")
    return 1 if one_by_one else most


def _back_off(found: Any) -> timedelta:
    longest = LONGEST if (text := found.get("maxContainerRestartPeriod")) is None else span(text)
    if not timedelta(seconds=1) <= longest <= LONGEST:
        raise ValueError("maxContainerRestartPeriod must be set between 1s and 300s")
    return longest


def _quota_period(text: Any) -> int:
    """Upstream: `pkg/kubelet/apis/config/validation/validation.go`."""
    micros = span(text) // timedelta(microseconds=1)
    if not 1000 <= micros <= 1_000_000:
        raise ValueError(f"{text} must be between 1ms and 1s, inclusive")
    return micros


def _ids_per_pod(found: Any) -> int:
    """Upstream: `pkg/kubelet/apis/config/validation/validation_linux.go`."""
    ids, unit = whole(found.get("idsPerPod", DEFAULT.ids_per_pod)), DEFAULT.ids_per_pod
    if ids < unit:
        raise ValueError(f"idsPerPod must not be less than {unit}")
    if ids % unit:
        raise ValueError(f"idsPerPod must be a multiple of {unit}")
    if ids >= 1 << 32:
        raise ValueError(f"idsPerPod must not be more than {(1 << 32) - 1}")
    return ids


def _may_swap(found: Any) -> bool:
    return one_of("", "NoSwap", "LimitedSwap")(found.get("swapBehavior", "")) == "LimitedSwap"


def _sysctls(found: Any) -> tuple[str, ...]:
    names = tuple(str(name).replace("/", ".") for name in found)
    for name in names:
        if not _SYSCTL.fullmatch(name):
            raise ValueError(f'"{name}" is no sysctl that pods have for themselves')
    return names


def _shutdown(value: Mapping[str, Any]) -> tuple[Phase, ...]:
    names = ("shutdownGracePeriod", "shutdownGracePeriodCriticalPods")
    whole, critical = (value.get(name, timedelta(0)) for name in names)
    phases = value.get("shutdownGracePeriodByPodPriority", ())
    for name, span_ in zip(names, (whole, critical), strict=True):
        if timedelta(0) < span_ < timedelta(seconds=1):
            raise BadConfig(f"{name}: must be either zero or otherwise >= 1 sec")
    if critical > whole:
        raise BadConfig(f"{names[1]}: {critical} must be <= shutdownGracePeriod {whole}")
    if phases and whole:
        raise BadConfig("Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time")
    return phases or two_phases(*(int(span_.total_seconds()) for span_ in (whole, critical)))


def _verification(value: Mapping[str, Any]) -> Verification:
    policy = value.get("imagePullCredentialsVerificationPolicy", "NeverVerifyPreloadedImages")
    allowed = value.get("preloadedImagesVerificationAllowlist", ())
    if allowed and policy != "NeverVerifyAllowlistedImages":
        words = "can't set `preloadedImagesVerificationAllowlist` if `imagePullCredentialsVertificationPolicy` is not"
        raise BadConfig(f'preloadedImagesVerificationAllowlist: {words} "NeverVerifyAllowlistedImages"')
    return Verification(policy, allowed)


def _reserve(found: Any) -> tuple[tuple[str, Quantity], ...]:
    for name in found:
        if name not in _RESERVABLE:
            raise ValueError(f'"{name}" cannot be reserved: {", ".join(_RESERVABLE)} can')
    return tuple((name, parse(str(text))) for name, text in found.items())


_PLACEMENT = (
    "cpuManagerPolicy",
    "cpuManagerPolicyOptions",
    "reservedSystemCPUs",
    "memoryManagerPolicy",
    "reservedMemory",
    "topologyManagerPolicy",
    "topologyManagerScope",
    "topologyManagerPolicyOptions",
)
"""Read by `placement.settings`."""


def _phases(found: Any) -> tuple[Phase, ...]:
    return tuple(
        sorted(Phase(whole(each.get("priority")), whole(each.get("shutdownGracePeriodSeconds"))) for each in found)
    )


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "evictionHard": texts,
    "evictionSoft": texts,
    "evictionSoftGracePeriod": spans,
    "evictionMinimumReclaim": texts,
    "evictionPressureTransitionPeriod": span,
    "evictionMaxPodGracePeriod": whole,
    "mergeDefaultEvictionSettings": flag,
    "imageGCHighThresholdPercent": whole,
    "imageGCLowThresholdPercent": whole,
    "imageMinimumGCAge": span,
    "imageMaximumGCAge": span,
    "maxPods": whole,
    "podPidsLimit": whole,
    "systemReserved": _reserve,
    "kubeReserved": _reserve,
    "containerLogMaxSize": size,
    "containerLogMaxFiles": whole,
    "containerLogMaxWorkers": whole,
    "containerLogMonitorInterval": span,
    "healthzBindAddress": lambda text: str(ip_address(text)),
    "healthzPort": port,
    "enableSystemLogHandler": flag,
    "enableSystemLogQuery": flag,
    "nodeStatusMaxImages": whole,
    "staticPodPath": Path,
    "shutdownGracePeriod": span,
    "shutdownGracePeriodCriticalPods": span,
    "shutdownGracePeriodByPodPriority": _phases,
    "podsPerCore": whole,
    "serializeImagePulls": flag,
    "maxParallelImagePulls": whole,
    "crashLoopBackOff": _back_off,
    "allowedUnsafeSysctls": _sysctls,
    "seccompDefault": flag,
    "userNamespaces": _ids_per_pod,
    "cgroupDriver": one_of("", CGROUPFS, SYSTEMD),
    "memorySwap": _may_swap,
    "cpuCFSQuota": flag,
    "cpuCFSQuotaPeriod": _quota_period,
    "enforceNodeAllocatable": ways,
    "systemReservedCgroup": str,
    "kubeReservedCgroup": str,
    "providerID": str,
    "singleProcessOOMKill": flag,
    "imagePullCredentialsVerificationPolicy": one_of(*POLICIES),
    "preloadedImagesVerificationAllowlist": lambda patterns: tuple(check_pattern(str(each)) for each in patterns),
}
