"""ReplicaSet: keep as many pods of a template as it asks for."""

from pylet.api.kinds.replicaset import KIND
from pylet.server.reconcile import replicas
from pylet.server.reconcile.ownership import by_label_selector

CONTROLLER = replicas.controller("replicaset", KIND, by_label_selector)
