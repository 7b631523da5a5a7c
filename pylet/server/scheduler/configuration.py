"""KubeSchedulerConfiguration: profiles of plugins, as upstream's `--config` file writes them. Pure.

Understood: `profiles` with `schedulerName`, `percentageOfNodesToScore`, plugins enabled, disabled and weighed at
`multiPoint` and `score`, and the arguments of the default plugins. What else a file says is refused, not overlooked.

Source: upstream `pkg/scheduler/apis/config`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pylet.api.object import Object, dig
from pylet.server.scheduler.decide import Plugin, Profile
from pylet.server.scheduler.plugins import PROFILE
from pylet.server.scheduler.plugins.balanced_allocation import BalancedAllocation
from pylet.server.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from pylet.server.scheduler.plugins.node_affinity import NodeAffinity
from pylet.server.scheduler.plugins.node_resources_fit import (
    Fraction,
    NodeResourcesFit,
    least_allocated,
    most_allocated,
    requested_to_capacity,
)
from pylet.server.scheduler.plugins.pod_topology_spread import SYSTEM_DEFAULTS, PodTopologySpread

_VERSION, _KIND = "kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration"
_KNOWN = {"apiVersion", "kind", "profiles", "percentageOfNodesToScore"}
_KNOWN_OF_PROFILE = {"schedulerName", "plugins", "pluginConfig", "percentageOfNodesToScore"}
_PREEMPTION = "DefaultPreemption"
_WITHOUT_CODE = {"SchedulingGates", "PrioritySort", "DefaultBinder"}  # part of the queue and the loop
_EVEN: Sequence[Object] = ({"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1})


def profiles(config: Object) -> tuple[Profile, ...]:
    """Raises: ValueError, naming the field."""
    if (config.get("apiVersion"), config.get("kind")) != (_VERSION, _KIND):
        raise ValueError(f"apiVersion and kind: must be {_VERSION} and {_KIND}")
    _only(config, _KNOWN, "")
    listed = config.get("profiles") or [{}]
    percentage = _percentage(config.get("percentageOfNodesToScore"), "percentageOfNodesToScore")
    found = [_profile(each, percentage, f"profiles[{at}]") for at, each in enumerate(listed)]
    if len(found) != len({profile.scheduler_name for profile in found}):
        raise ValueError("profiles: schedulerName must be given, and another for each")
    return tuple(found)


def _profile(profile: Object, percentage: int, where: str) -> Profile:
    _only(profile, _KNOWN_OF_PROFILE, f"{where}.")
    plugins = profile.get("plugins") or {}
    _only(plugins, {"multiPoint", "score"}, f"{where}.plugins.")
    made = _configured(profile.get("pluginConfig") or (), f"{where}.pluginConfig")
    weights = {plugin.name: weight for plugin, weight in PROFILE.plugins}
    on = [*weights, _PREEMPTION]
    for point in ("multiPoint", "score"):
        off = [each["name"] for each in dig(plugins, point, "disabled", default=())]
        enabled = {each["name"]: each.get("weight") for each in dig(plugins, point, "enabled", default=())}
        for name in (*off, *enabled):
            if name not in (*weights, *_WITHOUT_CODE, _PREEMPTION, "*"):
                raise ValueError(f"{where}.plugins.{point}: there is no plugin {name}")
        gone = set(on) if "*" in off else set(off)
        if point == "multiPoint":
            on = [name for name in on if name not in gone or name in enabled]
        else:
            weights |= dict.fromkeys(gone & weights.keys(), 0)
        weights |= {name: weight for name, weight in enabled.items() if weight and name in weights}
    return Profile(
        tuple(
            (made.get(plugin.name, plugin), weights[plugin.name]) for plugin, _ in PROFILE.plugins if plugin.name in on
        ),
        profile.get("schedulerName") or "default-scheduler",
        _percentage(profile.get("percentageOfNodesToScore"), f"{where}.percentageOfNodesToScore") or percentage,
        _PREEMPTION in on,
    )


def _configured(configs: Iterable[Object], where: str) -> dict[str, Plugin]:
    found: dict[str, Plugin] = {}
    for at, config in enumerate(configs):
        name, args = config.get("name", ""), config.get("args") or {}
        make = _ARGUMENTS.get(name)
        if make is None:
            raise ValueError(f"{where}[{at}]: no arguments of {name or 'a plugin without name'} are understood")
        found[name] = make(args, f"{where}[{at}].args")
    return found


def _fit(args: Object, where: str) -> Plugin:
    _only(args, {"apiVersion", "kind", "scoringStrategy", "ignoredResources", "ignoredResourceGroups"}, f"{where}.")
    strategy = args.get("scoringStrategy") or {}
    kind = strategy.get("type", "LeastAllocated")
    fractions: dict[str, Fraction] = {"LeastAllocated": least_allocated, "MostAllocated": most_allocated}
    fraction = fractions.get(kind)
    if kind == "RequestedToCapacityRatio":
        shape = dig(strategy, "requestedToCapacityRatio", "shape", default=())
        if not shape:
            raise ValueError(f"{where}.scoringStrategy.requestedToCapacityRatio.shape: must have at least one point")
        fraction = requested_to_capacity([(point["utilization"], point.get("score", 0)) for point in shape])
    if fraction is None:
        raise ValueError(f"{where}.scoringStrategy.type: there is no strategy {kind}")
    return NodeResourcesFit(
        fraction,
        {each["name"]: each.get("weight") or 1 for each in strategy.get("resources") or _EVEN},
        skips_zero=kind == "RequestedToCapacityRatio",
        ignored=frozenset(args.get("ignoredResources") or ()),
        ignored_groups=frozenset(args.get("ignoredResourceGroups") or ()),
    )


def _balanced(args: Object, where: str) -> Plugin:
    _only(args, {"apiVersion", "kind", "resources"}, f"{where}.")
    return BalancedAllocation([each["name"] for each in args.get("resources") or _EVEN])


def _node_affinity(args: Object, where: str) -> Plugin:
    _only(args, {"apiVersion", "kind", "addedAffinity"}, f"{where}.")
    return NodeAffinity(args.get("addedAffinity"))


def _pod_affinity(args: Object, where: str) -> Plugin:
    weight, ignores = "hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods"
    _only(args, {"apiVersion", "kind", weight, ignores}, f"{where}.")
    return InterPodAffinity(hard_weight=args.get(weight, 1), ignores_preferred_of_others=bool(args.get(ignores)))


def _spread(args: Object, where: str) -> Plugin:
    _only(args, {"apiVersion", "kind", "defaultConstraints", "defaultingType"}, f"{where}.")
    constraints: Sequence[Object] = args.get("defaultConstraints") or ()
    if args.get("defaultingType", "System") == "System":
        if constraints:
            raise ValueError(f"{where}.defaultingType: when .defaultConstraints are specified must be List")
        constraints = SYSTEM_DEFAULTS
    return PodTopologySpread(constraints)


_ARGUMENTS: Mapping[str, Callable[[Object, str], Plugin]] = {
    "NodeResourcesFit": _fit,
    "NodeResourcesBalancedAllocation": _balanced,
    "NodeAffinity": _node_affinity,
    "InterPodAffinity": _pod_affinity,
    "PodTopologySpread": _spread,
}


def _percentage(value: object, where: str) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or not 0 <= value <= 100:
        raise ValueError(f"{where}: not in valid range [0-100]")
    return value


def _only(found: Object, known: set[str], where: str) -> None:
    for name in found:
        if name not in known:
            raise ValueError(f"{where}{name}: not understood here")
