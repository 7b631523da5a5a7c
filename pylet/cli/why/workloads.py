"""Why a workload has not what it asks for: its own conditions, then its pods', each cause once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Object, condition_of, conditions_of, dig, is_terminating, uid_of
from pylet.api.podtemplate import is_finished, is_ready
from pylet.cli.why.cause import Cause
from pylet.cli.why.pods import of_pod
from pylet.cli.why.world import World

_SHOWN = 3


def of_deployment(deployment: Object, world: World) -> Iterator[Cause]:
    spec, wanted = deployment["spec"], deployment["spec"].get("replicas", 1)
    if spec.get("paused"):
        name = deployment["metadata"]["name"]
        yield Cause("it is paused: changes are not rolled out", advice=f"pylet kubectl rollout resume deploy/{name}")
    if (failed := condition_of(deployment, "ReplicaFailure")) is not None and failed["status"] == "True":
        yield _refused(failed)
    progressing = condition_of(deployment, "Progressing")
    if progressing is not None and progressing["status"] == "False":
        yield Cause(progressing["message"])
    sets = world.owned_by(REPLICA_SET, uid_of(deployment))
    pods = [pod for replica_set in sets for pod in world.owned_by(POD, uid_of(replica_set))]
    yield from _of_pods(pods, wanted, world)


def of_replicated(workload: Object, world: World) -> Iterator[Cause]:
    """ReplicaSets, ReplicationControllers and StatefulSets."""
    if (failed := condition_of(workload, "ReplicaFailure")) is not None and failed["status"] == "True":
        yield _refused(failed)
    elif warning := world.warning(workload, "FailedCreate"):
        yield Cause(warning)
    yield from _of_pods(world.owned_by(POD, uid_of(workload)), workload["spec"].get("replicas", 1), world)


def of_daemon_set(daemon_set: Object, world: World) -> Iterator[Cause]:
    wanted = dig(daemon_set, "status", "desiredNumberScheduled", default=0)
    if not wanted:
        yield Cause("no node fits it", advice="compare its nodeSelector, affinity and tolerations with the nodes")
    if warning := world.warning(daemon_set, "FailedCreate"):
        yield Cause(warning)
    yield from _of_pods(world.owned_by(POD, uid_of(daemon_set)), wanted, world)


def of_job(job: Object, world: World) -> Iterator[Cause]:
    for condition in conditions_of(job):
        if condition["type"] == "Complete" and condition["status"] == "True":
            return
        if condition["type"] in ("Failed", "FailureTarget") and condition["status"] == "True":
            yield Cause(f"it failed: {condition.get('message', '')}", tuple(_failures(job, world)))
            return
    if job["spec"].get("suspend"):
        yield Cause("it is suspended", advice=_resumed("job", job["metadata"]["name"]))
    yield from _failures(job, world)


def of_cron_job(cron_job: Object, world: World) -> Iterator[Cause]:
    if cron_job["spec"].get("suspend"):
        name = cron_job["metadata"]["name"]
        yield Cause("it is suspended: no jobs are made", advice=_resumed("cronjob", name))
    for job in world.owned_by(JOB, uid_of(cron_job)):
        if why := tuple(of_job(job, world)):
            yield Cause(f"job {job['metadata']['name']}", why)
    if warning := world.warning(cron_job):
        yield Cause(warning)


def _resumed(what: str, name: str) -> str:
    return f'pylet kubectl patch {what} {name} -p \'{{"spec":{{"suspend":false}}}}\''


def _failures(job: Object, world: World) -> Iterator[Cause]:
    pods = world.owned_by(POD, uid_of(job))
    yield from _grouped((pod for pod in pods if dig(pod, "status", "phase") != "Succeeded"), world)


def _refused(condition: Object) -> Cause:
    message = condition.get("message", "")
    advice = "pylet kubectl describe quota" if "exceeded quota" in message else ""
    return Cause(f"its pods are refused: {message}", advice=advice)


def _of_pods(pods: Iterable[Object], wanted: int, world: World) -> Iterator[Cause]:
    alive = [pod for pod in pods if not is_finished(pod)]
    ready = sum(is_ready(pod) and not is_terminating(pod) for pod in alive)
    if ready >= wanted and not any(map(is_terminating, alive)):
        return
    present = sum(not is_terminating(pod) for pod in alive)
    if present < wanted:
        yield Cause(f"{wanted - present} of {wanted} pods have not been made yet")
    yield from _grouped((pod for pod in alive if not is_ready(pod) or is_terminating(pod)), world)


def _grouped(pods: Iterable[Object], world: World) -> Iterator[Cause]:
    """Pods with the same causes together."""
    alike: dict[tuple[Cause, ...], list[str]] = defaultdict(list)
    for pod in pods:
        alike[tuple(of_pod(pod, world))].append(pod["metadata"]["name"])
    for causes, names in alike.items():
        more = len(names) - _SHOWN
        shown = ", ".join(sorted(names)[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        yield Cause(f"pod{'s' if len(names) > 1 else ''} {shown}", causes)


BY_KIND = {
    "Deployment": of_deployment,
    "ReplicaSet": of_replicated,
    "ReplicationController": of_replicated,
    "StatefulSet": of_replicated,
    "DaemonSet": of_daemon_set,
    "Job": of_job,
    "CronJob": of_cron_job,
}
