"""metrics.k8s.io as pylet serves it where no metrics-server is installed: what nodes and pods use right now."""
