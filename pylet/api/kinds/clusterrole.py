"""ClusterRoles."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    name="ClusterRole",
    plural="clusterroles",
    definition="io.k8s.api.rbac.v1.ClusterRole",
    namespaced=False,
)
