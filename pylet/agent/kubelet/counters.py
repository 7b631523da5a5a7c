"""What a kubelet counts about itself, by upstream's names; counting is a dictionary update and a bisection.

One process counts together, as upstream's does. No label takes more values than it is given by the program or by the
node's own configuration: what pods can name is not counted by its name.
Source: upstream `pkg/kubelet/metrics/metrics.go`, `pkg/kubelet/server/metrics/metrics.go`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from pylet.aio.prometheus import SECONDS, Counter, Histogram

_STARTS = (0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600)
_PULLS = (1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600)
_MB, _GB = 1 << 20, 1 << 30
_SIZES = (10 * _MB, 100 * _MB, 500 * _MB, _GB, *(n * _GB for n in (5, 10, 20, 30, 40, 60, 100)))
_SIZE_NAMES = ("0-10MB", "10MB-100MB", "100MB-500MB", "500MB-1GB", "1GB-5GB", "5GB-10GB", "10GB-20GB", "20GB-30GB",
               "30GB-40GB", "40GB-60GB", "60GB-100GB", "GT100GB")  # fmt: skip


def image_size(size: int) -> str:
    return _SIZE_NAMES[bisect_left(_SIZES, size)]


@contextmanager
def seconds(histogram: Histogram, *labels: str) -> Iterator[None]:
    """How long the block takes, whatever becomes of it."""
    began = perf_counter()
    try:
        yield
    finally:
        histogram.observe(perf_counter() - began, *labels)


def _powers(first: float, factor: float, count: int) -> tuple[float, ...]:
    return tuple(first * factor**n for n in range(count))


_OPERATIONS = _powers(0.005, 2.5, 14)
_STORAGE = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600)
HTTP = ("method", "path", "server_type", "long_running")
_API = ("server_api_version",)

SYNCS = Histogram("kubelet_pod_worker_duration_seconds", "One turn of a pod's worker.", ("operation_type",))
STARTS = Histogram(
    "kubelet_pod_start_duration_seconds", "From first seeing a pod until all its containers run.", bounds=_STARTS
)
TOTAL_STARTS = Histogram(
    "kubelet_pod_start_total_duration_seconds", "From a pod's creation until all its containers run.", bounds=_STARTS
)
SLI_STARTS = Histogram(
    "kubelet_pod_start_sli_duration_seconds",
    "The total, without pulling images and init containers.",
    bounds=_STARTS,
)
STATUS_SYNCS = Histogram("kubelet_pod_status_sync_duration_seconds", "Telling the API a pod's status.")
RELISTS = Histogram("kubelet_pleg_relist_duration_seconds", "Listing all containers beside the runtime's events.")
RELIST_INTERVALS = Histogram(
    "kubelet_pleg_relist_interval_seconds", "Between two such listings.", bounds=(*SECONDS, 30, 60, 120)
)
OPERATIONS = Counter("kubelet_runtime_operations_total", "Calls of the container runtime.", ("operation_type",))
OPERATION_ERRORS = Counter("kubelet_runtime_operations_errors_total", "Calls that failed.", ("operation_type",))
OPERATION_SECONDS = Histogram(
    "kubelet_runtime_operations_duration_seconds", "Calls of the container runtime.", ("operation_type",), _OPERATIONS
)
SANDBOXES = Histogram("kubelet_run_podsandbox_duration_seconds", "Making a sandbox.", ("runtime_handler",))
SANDBOX_ERRORS = Counter("kubelet_run_podsandbox_errors_total", "Sandboxes not made.", ("runtime_handler",))
STARTED_PODS = Counter("kubelet_started_pods_total", "Pods of which a sandbox was asked for.")
STARTED_PODS_ERRORS = Counter("kubelet_started_pods_errors_total", "Pods whose sandbox could not be made.")
STARTED_USERS = Counter("kubelet_started_user_namespaced_pods_total", "Those that have users of their own.")
STARTED_USERS_ERRORS = Counter(
    "kubelet_started_user_namespaced_pods_errors_total", "Pods with users of their own that could not be started."
)
STARTED = Counter("kubelet_started_containers_total", "Containers to be started.", ("container_type",))
STARTED_ERRORS = Counter(
    "kubelet_started_containers_errors_total", "Containers not started.", ("container_type", "code")
)
TERMINATED = Counter(
    "kubelet_terminated_containers_total", "Containers that ended.", ("container_type", "exit_code", "reason")
)
PULLS = Histogram("kubelet_image_pull_duration_seconds", "Pulling an image.", ("image_size_in_bytes",), _PULLS)
IMAGES_REMOVED = Counter("kubelet_image_garbage_collected_total", "Unused images removed.", ("reason",))
EVICTIONS = Counter("kubelet_evictions", "Pods evicted.", ("eviction_signal",))
PREEMPTIONS = Counter("kubelet_preemptions", "Pods ended for critical ones.", ("preemption_signal",))
REJECTIONS = Counter("kubelet_admission_rejections_total", "Pods not admitted.", ("reason",))
ORPHANS = Counter("kubelet_orphaned_runtime_pods_total", "Pods that only the runtime knew of.")
PLUGINS = Counter("kubelet_device_plugin_registration_total", "Device plugins registered.", ("resource_name",))
ALLOCATIONS = Histogram(
    "kubelet_device_plugin_alloc_duration_seconds", "Asking a device plugin to allocate.", ("resource_name",)
)
HOLDINGS = Counter("kubelet_pod_resources_endpoint_requests_total", "Requests to the PodResources API.", _API)
HOLDINGS_OF = {
    method: (
        Counter(f"kubelet_pod_resources_endpoint_requests_{name}", f"Requests of {method}.", _API),
        Counter(f"kubelet_pod_resources_endpoint_errors_{name}", f"Requests of {method} that were refused.", _API),
    )
    for method, name in (("List", "list"), ("GetAllocatableResources", "get_allocatable"), ("Get", "get"))
}
PINNED = {
    pool: (
        Counter(f"kubelet_{pool}_manager_pinning_requests_total", f"Containers that asked for {pool} of their own."),
        Counter(f"kubelet_{pool}_manager_pinning_errors_total", "Those that could not have it."),
    )
    for pool in ("cpu", "memory")
}
ALIGNMENTS = Counter("kubelet_topology_manager_admission_requests_total", "Pods whose resources are to be aligned.")
ALIGNMENT_ERRORS = Counter("kubelet_topology_manager_admission_errors_total", "Those that could not be aligned.")
ALIGNMENT_MILLISECONDS = Histogram(
    "kubelet_topology_manager_admission_duration_ms", "Aligning a pod.", bounds=_powers(0.05, 2, 15)
)
CLAIMS = Histogram(
    "dra_operations_duration_seconds", "All claims of a pod.", ("operation_name", "is_error"), _powers(0.1, 1.534, 15)
)
REQUESTS = Counter("kubelet_http_requests_total", "Requests to the kubelet.", HTTP)
REQUEST_SECONDS = Histogram("kubelet_http_requests_duration_seconds", "Requests to the kubelet.", HTTP)
PROVIDERS = Histogram("kubelet_credential_provider_plugin_duration", "Asking a credential provider.", ("plugin_name",))
PROVIDER_ERRORS = Counter("kubelet_credential_provider_plugin_errors_total", "In vain.", ("plugin_name",))
PROVIDER_CONFIG = Counter(
    "kubelet_credential_provider_config_info", "Which files name the credential providers.", ("hash",), "gauge"
)
CLOSING_BEGAN = Counter(
    "kubelet_graceful_shutdown_start_time_seconds", "When pods were last ended for a shutdown.", type="gauge"
)
CLOSING_ENDED = Counter(
    "kubelet_graceful_shutdown_end_time_seconds", "When they all had; 0 where they did not.", type="gauge"
)
RECONSTRUCTED = Counter("reconstruct_volume_operations_total", "Volumes found on disk when the kubelet started.")
RECONSTRUCTED_ERRORS = Counter("reconstruct_volume_operations_errors_total", "Those of a type that is not known.")
STORAGE = Histogram(
    "storage_operation_duration_seconds",
    "What is done to volumes.",
    ("volume_plugin", "operation_name", "status", "migrated"),
    _STORAGE,
)
STORAGE_TOTAL = Histogram(
    "volume_operation_total_seconds",
    "From first wanting a volume until it is there.",
    ("plugin_name", "operation_name"),
    _STORAGE,
)
CGROUPS = Histogram("kubelet_cgroup_manager_duration_seconds", "What is done to control groups.", ("operation_type",))
IMAGE_VOLUMES = Counter("kubelet_image_volume_requested_total", "Image volumes to be mounted.")
IMAGE_VOLUMES_MOUNTED = Counter("kubelet_image_volume_mounted_succeed_total", "Those that were.")
IMAGE_VOLUME_ERRORS = Counter("kubelet_image_volume_mounted_errors_total", "Those that could not be.")
CLIENT_RENEWAL_ERRORS = Counter(
    "kubelet_certificate_manager_client_expiration_renew_errors", "The node's certificate was not renewed."
)
SERVING_RENEWAL_ERRORS = Counter(
    "kubelet_server_expiration_renew_errors", "The kubelet's serving certificate was not renewed."
)
CSI = Histogram(
    "csi_operations_seconds",
    "Calls of CSI drivers.",
    ("driver_name", "method_name", "grpc_status_code", "migrated"),
    _STORAGE,
)

ALL: tuple[Counter | Histogram, ...] = (
    SYNCS, STARTS, TOTAL_STARTS, SLI_STARTS, STATUS_SYNCS, RELISTS, RELIST_INTERVALS, OPERATIONS,
    OPERATION_ERRORS, OPERATION_SECONDS, SANDBOXES, SANDBOX_ERRORS, STARTED_PODS, STARTED_PODS_ERRORS, STARTED_USERS,
    STARTED_USERS_ERRORS, STARTED, STARTED_ERRORS, TERMINATED, PULLS, IMAGES_REMOVED, EVICTIONS, PREEMPTIONS,
    REJECTIONS, ORPHANS, PLUGINS, ALLOCATIONS, HOLDINGS, *(each for pair in HOLDINGS_OF.values() for each in pair),
    *(each for pair in PINNED.values() for each in pair), ALIGNMENTS, ALIGNMENT_ERRORS, ALIGNMENT_MILLISECONDS,
    CLAIMS, REQUESTS, REQUEST_SECONDS, PROVIDERS, PROVIDER_ERRORS, PROVIDER_CONFIG, RECONSTRUCTED,
    RECONSTRUCTED_ERRORS, CLOSING_BEGAN, CLOSING_ENDED, STORAGE, STORAGE_TOTAL, CSI,
    CGROUPS, IMAGE_VOLUMES, IMAGE_VOLUMES_MOUNTED, IMAGE_VOLUME_ERRORS, CLIENT_RENEWAL_ERRORS,
    SERVING_RENEWAL_ERRORS,
)  # fmt: skip


def lines() -> Iterator[str]:
    """All that was counted."""
    for each in ALL:
        yield from each.lines()
