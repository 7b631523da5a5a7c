"""The scale subresource: a Scale shown of a workload, and a Scale's replicas put into it.

Source: pkg/registry/apps/{deployment,replicaset}/storage (ScaleREST).
"""

from __future__ import annotations

from pylet.api import causes, selector
from pylet.api.errors import Invalid
from pylet.api.kind import Kind
from pylet.api.object import Object, dig

_SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(workload: Object) -> Object:
    meta = workload["metadata"]
    chosen = dig(workload, "spec", "selector")
    # A ReplicationController's selector is a plain map of labels.
    is_plain = chosen is not None and not chosen.keys() & {"matchLabels", "matchExpressions"}
    labels = selector.from_labels(chosen) if is_plain else selector.from_object(chosen)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in _SHOWN if name in meta},
        "spec": {"replicas": dig(workload, "spec", "replicas", default=0)},
        "status": {"replicas": dig(workload, "status", "replicas", default=0), "selector": str(labels)},
    }


def scaled(kind: Kind, workload: Object, scale: Object) -> Object:
    """`workload` (private, changed in place) with the replicas of `scale`, whose version and uid must fit later.

    Raises: Invalid.
    """
    replicas = dig(scale, "spec", "replicas", default=0)
    if replicas < 0:
        why = causes.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise Invalid("autoscaling", "Scale", workload["metadata"]["name"], (why,))
    workload["spec"]["replicas"] = replicas
    if version := scale["metadata"].get("resourceVersion"):
        workload["metadata"]["resourceVersion"] = version
    return workload
