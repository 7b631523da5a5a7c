"""The service proxy: Services and EndpointSlices become elements of nftables maps on this node.

model (what a service is, pure) → ruleset (which elements that is, pure) → nft (the kernel), driven by loop.
"""
