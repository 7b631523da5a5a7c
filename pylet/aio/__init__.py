"""The asyncio kit: clock, services, work queue, connections, files, counters. It knows nothing of Kubernetes."""
