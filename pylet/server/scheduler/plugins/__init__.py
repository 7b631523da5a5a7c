"""One file per plugin, each declaring `PLUGIN`. PROFILE is ordered: filters are asked, and weighed, as it lists them.

The order and the weights are upstream's (`pkg/scheduler/apis/config/v1/default_plugins.go`).
"""

from pylet.server.scheduler.decide import Profile
from pylet.server.scheduler.plugins import (
    balanced_allocation,
    dynamic_resources,
    image_locality,
    inter_pod_affinity,
    node_affinity,
    node_declared_features,
    node_name,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    node_volume_limits,
    pod_topology_spread,
    taint_toleration,
    volume_binding,
    volume_restrictions,
    volume_zone,
)

PROFILE = Profile(
    (
        (node_unschedulable.PLUGIN, 0),
        (node_name.PLUGIN, 0),
        (taint_toleration.PLUGIN, 3),
        (node_affinity.PLUGIN, 2),
        (node_ports.PLUGIN, 0),
        (node_resources_fit.PLUGIN, 1),
        (volume_restrictions.PLUGIN, 0),
        (node_volume_limits.PLUGIN, 0),
        (volume_binding.PLUGIN, 0),
        (volume_zone.PLUGIN, 0),
        (pod_topology_spread.PLUGIN, 2),
        (inter_pod_affinity.PLUGIN, 2),
        (dynamic_resources.PLUGIN, 2),
        (balanced_allocation.PLUGIN, 1),
        (image_locality.PLUGIN, 1),
        (node_declared_features.PLUGIN, 0),
    )
)
