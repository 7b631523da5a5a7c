"""Devices that claims of a pod to place ask for: loaded with the first such pod."""
