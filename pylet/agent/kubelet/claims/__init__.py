"""Devices that pods claim, of drivers on this node: loaded with the first driver or the first pod that claims some."""
