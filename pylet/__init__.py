"""pylet: a whole Kubernetes in one asyncio Python program."""
