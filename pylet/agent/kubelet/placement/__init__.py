"""Where on the machine pods run: CPUs and memory of their own, near each other and near their devices."""
