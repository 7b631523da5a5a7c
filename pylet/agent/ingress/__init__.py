"""Ingresses of this cluster's own class, served by a HAProxy on every node: model → haproxy → process, kept by loop."""
