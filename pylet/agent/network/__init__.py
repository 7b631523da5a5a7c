"""The pod network of a node, its ways to other nodes, and the cluster's DNS."""
