"""The kubelet: makes the containers of this node what the API says they should be."""
