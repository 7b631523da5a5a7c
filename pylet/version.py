"""The Kubernetes version pylet serves and pylet's own."""

from datetime import UTC, datetime

KUBERNETES = "v1.36.2"
PYLET = "0.1.0"
WRITTEN = datetime(2026, 11, 21, tzinfo=UTC)
"""No clock that is right says less: one that does has not been set since the machine started."""
VERSION = f"{KUBERNETES}+pylet{PYLET}"
MAJOR, MINOR = KUBERNETES.removeprefix("v").split(".")[:2]
LABELS = {"git_version": VERSION, "major": MAJOR, "minor": MINOR}
"""Of the metric that tells them."""
