"""The Kubernetes version pylet serves and pylet's own."""

import platform
from datetime import UTC, datetime

_GO_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
KUBERNETES = "v1.36.2"
PYLET = "0.1.0"
WRITTEN = datetime(2026, 11, 21, tzinfo=UTC)
"""No clock that is right says less: one that does has not been set since the machine started."""
VERSION = f"{KUBERNETES}+pylet{PYLET}"
MAJOR, MINOR = KUBERNETES.removeprefix("v").split(".")[:2]
BUILD = {
    "major": MAJOR,
    "minor": MINOR,
    "git_version": VERSION,
    "git_commit": "",
    "git_tree_state": "clean",
    "build_date": "1970-01-01T00:00:00Z",
    "go_version": "",
    "compiler": platform.python_implementation().lower(),
    "platform": f"linux/{_GO_MACHINES.get(platform.machine(), platform.machine())}",
}
"""As `/version` and the metric `kubernetes_build_info` tell it."""
EMULATED = {
    "binary": KUBERNETES.removeprefix("v"),
    "component": "kube",
    "emulation": f"{MAJOR}.{MINOR}",
    "min_compat": f"{MAJOR}.{int(MINOR) - 1}",
}
"""As the metric `version_info` tells it."""
