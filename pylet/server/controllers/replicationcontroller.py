"""ReplicationController: what ReplicaSet does, with a selector that knows only equality."""

from pylet.api import selector
from pylet.api.kinds.replicationcontroller import KIND
from pylet.server.reconcile import replicas

CONTROLLER = replicas.controller(
    "replication", KIND, lambda controller: selector.from_labels(controller["spec"].get("selector"))
)
