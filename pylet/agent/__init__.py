"""The node: kubelet, service proxy, pod network and DNS, which meet only in the API."""
