"""Admission: what the cluster as a whole has to say to a write. The order is the order of the CHAIN."""

from __future__ import annotations

from pylet.server.admission import (
    certificate_requester,
    default_tolerations,
    device_admin,
    namespace_lifecycle,
    node_restriction,
    node_taint,
    pod_security,
    priority,
    resource_quota,
    service_account,
)
from pylet.server.admission.interface import Plugin

CHAIN: tuple[Plugin, ...] = (
    namespace_lifecycle.PLUGIN,
    certificate_requester.PLUGIN,
    service_account.PLUGIN,
    node_restriction.PLUGIN,
    node_taint.PLUGIN,
    pod_security.PLUGIN,
    priority.PLUGIN,
    default_tolerations.PLUGIN,
    device_admin.PLUGIN,
    resource_quota.PLUGIN,
)
