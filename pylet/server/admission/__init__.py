"""Admission: what the cluster as a whole has to say to a write. The order is the order of the CHAIN."""

from __future__ import annotations

from pylet.server.admission import (
    certificate_requester,
    claim_resize,
    default_ingress_class,
    default_storage_class,
    default_tolerations,
    device_admin,
    device_taints,
    limit_ranger,
    namespace_lifecycle,
    node_features,
    node_restriction,
    node_taint,
    pod_resize,
    pod_security,
    pod_topology_labels,
    priority,
    resource_quota,
    runtime_class,
    service_account,
    storage_protection,
)
from pylet.server.admission.interface import Plugin

CHAIN: tuple[Plugin, ...] = (
    namespace_lifecycle.PLUGIN,
    limit_ranger.PLUGIN,
    service_account.PLUGIN,
    node_restriction.PLUGIN,
    node_taint.PLUGIN,
    pod_security.plugin(),
    priority.PLUGIN,
    default_tolerations.PLUGIN,
    default_storage_class.PLUGIN,
    storage_protection.PLUGIN,
    claim_resize.PLUGIN,
    runtime_class.PLUGIN,
    certificate_requester.RESTRICTION,
    default_ingress_class.PLUGIN,
    device_admin.PLUGIN,
    device_taints.PLUGIN,
    pod_topology_labels.PLUGIN,
    node_features.PLUGIN,
    pod_resize.PLUGIN,
    resource_quota.plugin(),
    certificate_requester.REQUESTER,
)
