"""The control plane: API, registry, controllers and scheduler in one process."""
