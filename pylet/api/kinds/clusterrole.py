"""ClusterRoles: permissions on everything, or to be given within a namespace."""

from __future__ import annotations

from pylet.api.kind import Kind
from pylet.api.rbac import RoleStrategy

KIND = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    name="ClusterRole",
    plural="clusterroles",
    definition="io.k8s.api.rbac.v1.ClusterRole",
    namespaced=False,
    strategy=RoleStrategy(paths_allowed=True),
)
