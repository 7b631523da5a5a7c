"""The Kubernetes version pylet serves and pylet's own."""

KUBERNETES = "v1.36.2"
PYLET = "0.1.0"
VERSION = f"{KUBERNETES}+pylet{PYLET}"
