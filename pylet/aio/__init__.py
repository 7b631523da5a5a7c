"""The asyncio kit: clock, services, work queue, fan-out. It knows nothing of Kubernetes."""
