"""The Kubernetes version pylet serves and pylet's own."""

KUBERNETES = "v1.36.2"
PYLET = "0.1.0"
VERSION = f"{KUBERNETES}+pylet{PYLET}"
MAJOR, MINOR = KUBERNETES.removeprefix("v").split(".")[:2]
LABELS = {"git_version": VERSION, "major": MAJOR, "minor": MINOR}
"""Of the metric that tells them."""
