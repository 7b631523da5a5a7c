"""`kubectl autoscale`: a HorizontalPodAutoscaler for a workload. Source: cmd/autoscale."""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, making, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, number, text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_UNITS = {"cpu": "m", "memory": "Mi"}


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    low, high = options["min"], options["max"]
    if high == -1:
        raise Failure('error: required flag(s) "max" not set')
    if high < 1:
        raise Failure(f"error: --max=MAXPODS is required and must be at least 1, max: {high}")
    if high < low:
        raise Failure(f"error: --max=MAXPODS must be larger or equal to --min=MINPODS, max: {high}, min: {low}")
    if options["cpu_percent"] > 0:
        if options["cpu"]:
            raise Failure("error: --cpu-percent and --cpu are mutually exclusive")
        options["cpu"] = f"{options['cpu_percent']}%"
    failures = Collected()
    for target in writing.choose_written(session, args, options, failures):
        making.make(session, _scaler(target, options), options, manager="kubectl-autoscale", operation="autoscaled")
    failures.finish()


def _scaler(target: Target, options: dict[str, Any]) -> Object:
    resource = target.resource
    if resource.kind not in ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"):
        told = f"could not find scale subresource for {resource.shown} in discovery information"
        raise Failure(f"error: cannot autoscale a {resource.kind}: {told}")
    ref = {"apiVersion": resource.api_version, "kind": resource.kind, "name": target.name}
    spec: Object = {"maxReplicas": options["max"], "scaleTargetRef": ref}
    if options["min"] > 0:
        spec["minReplicas"] = options["min"]
    metrics = [_metric(name, options[name]) for name in ("cpu", "memory") if options[name]]
    if metrics:
        spec["metrics"] = metrics
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": options["name"] or target.name},
        "spec": spec,
        "status": {"currentMetrics": None, "desiredReplicas": 0},
    }


def _metric(name: str, wanted: str) -> Object:
    """Of `70%` of what is requested, or of an average such as `500m`; a bare number has the resource's usual unit."""
    if wanted.endswith("%"):
        try:
            goal: Object = {"averageUtilization": int(wanted[:-1]), "type": "Utilization"}
        except ValueError:
            raise Failure(f"error: invalid {name} resource value: {wanted}") from None
    else:
        amount = wanted + _UNITS[name] if wanted.isdigit() else wanted
        goal = {"averageValue": amount, "type": "AverageValue"}
    return {"resource": {"name": name, "target": goal}, "type": "Resource"}


VERB = KubectlCommand(
    "autoscale",
    _run,
    [
        number("min", default=-1, help="Fewest pods."),
        number("max", default=-1, help="Most pods."),
        text("cpu", help="Wanted CPU: 70% of the request, or 500m."),
        text("memory", help="Wanted memory: 60% of the request, or 200Mi."),
        number("cpu-percent", default=-1, help="As --cpu with a percent sign."),
        text("name", help="Its name; the workload's when not given."),
        *flags.FILES,
        *flags.WRITING,
        flags.SAVE_CONFIG,
        arguments(),
    ],
    help="Scale a workload by what its pods use.",
)
