"""What a node remembers of the API, so that it boots and runs its pods while the server is away.

`vault` seals files, `memory` decides what they hold, `client` asks the server first. Nothing here knows the kubelet.
"""
