"""ClusterRoleBindings: a role given to subjects everywhere."""

from __future__ import annotations

from pylet.api import columns
from pylet.api.kind import Column, Kind
from pylet.api.rbac import BindingStrategy, binding_cells

KIND = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    name="ClusterRoleBinding",
    plural="clusterrolebindings",
    definition="io.k8s.api.rbac.v1.ClusterRoleBinding",
    namespaced=False,
    strategy=BindingStrategy(roles=("ClusterRole",)),
    columns=(
        columns.NAME,
        Column("Role", description="The role that is given."),
        columns.AGE,
        Column("Users", priority=1, description="Users in the clusterRoleBinding"),
        Column("Groups", priority=1, description="Groups in the clusterRoleBinding"),
        Column("ServiceAccounts", priority=1, description="ServiceAccounts in the clusterRoleBinding"),
    ),
    cells=binding_cells,
)
