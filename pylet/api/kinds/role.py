"""Roles: permissions within one namespace."""

from __future__ import annotations

from pylet.api.kind import Kind
from pylet.api.rbac import RoleStrategy

KIND = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    name="Role",
    plural="roles",
    definition="io.k8s.api.rbac.v1.Role",
    strategy=RoleStrategy(paths_allowed=False),
)
