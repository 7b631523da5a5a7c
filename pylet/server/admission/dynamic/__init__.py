"""Admission that the cluster's users configure: webhooks, and policies written in CEL.

`plugins` is all that lives while nothing is configured: it listens to the tables of the configurations and wakes the
rest, which is imported then. Source: apiserver pkg/admission/plugin/{webhook,policy}.
"""
