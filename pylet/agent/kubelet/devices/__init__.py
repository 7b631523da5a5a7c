"""Devices that plugins of the node offer to its pods (device plugin API v1beta1)."""
