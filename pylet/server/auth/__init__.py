"""Who asks (`authenticate`), and whether they may (`authorize`: the node authorizer, then RBAC)."""
