"""The service proxy: Services, EndpointSlices and host ports become elements of nftables maps on this node.

model (where traffic is taken, and what stands behind, pure) → ruleset (which elements that is, pure), read by the fixed
rules (pure), driven by loop. Beside it: claims (who gets what two ask for, pure), affinity and flows (what the kernel
remembers of clients), health (the health-check node ports).
"""
