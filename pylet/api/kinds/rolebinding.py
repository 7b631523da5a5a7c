"""RoleBindings: a role given to subjects in one namespace."""

from __future__ import annotations

from pylet.api import columns
from pylet.api.kind import Column, Kind
from pylet.api.rbac import BindingStrategy, binding_cells

KIND = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    name="RoleBinding",
    plural="rolebindings",
    definition="io.k8s.api.rbac.v1.RoleBinding",
    strategy=BindingStrategy(roles=("Role", "ClusterRole")),
    columns=(
        columns.NAME,
        Column("Role", description="The role that is given."),
        columns.AGE,
        Column("Users", priority=1, description="Users in the roleBinding"),
        Column("Groups", priority=1, description="Groups in the roleBinding"),
        Column("ServiceAccounts", priority=1, description="ServiceAccounts in the roleBinding"),
    ),
    cells=binding_cells,
)
