"""Why a pod does not run, is not ready, failed, or does not go away."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api import timestamps
from pylet.api.containers import planned
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object, dig, is_terminating, is_true
from pylet.api.podtemplate import is_ready
from pylet.cli.why.cause import Cause
from pylet.cli.why.nodes import of_node
from pylet.cli.why.world import World

_PULLING = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
_SIGNALS = {137: "killed (SIGKILL)", 143: "ended by SIGTERM", 139: "crashed (SIGSEGV)", 134: "aborted (SIGABRT)"}
_NAMING = {
    **dict.fromkeys(("configMap", "configMapRef", "configMapKeyRef"), "configmap"),
    **dict.fromkeys(("secret", "secretRef", "secretKeyRef"), "secret"),
}
"""Fields of volumes and of variables' sources."""
_NOT_STARTED = {126: "its command cannot be run", 127: "its command was not found"}


def of_pod(pod: Object, world: World) -> list[Cause]:
    """Empty for a pod that is as it should be."""
    phase = dig(pod, "status", "phase", default="Pending")
    if is_terminating(pod):
        return [_going(pod, world)]
    if phase == "Succeeded":
        return []
    if phase == "Failed":
        reason = dig(pod, "status", "reason") or "a container failed"
        message = dig(pod, "status", "message", default="")
        return [Cause(f"it failed: {reason}{': ' + message if message else ''}", tuple(_containers(pod, world)))]
    if not dig(pod, "spec", "nodeName"):
        from pylet.cli.why.placing import unplaced

        return [Cause("no node has been found for it", tuple(unplaced(pod, world)))]
    causes = [*_of_its_node(pod, world), *_containers(pod, world)]
    if not causes and not is_ready(pod):
        causes = [*_gates(pod), *_mounts(pod, world)] or [Cause("it has just been started")]
    return causes


def _going(pod: Object, world: World) -> Cause:
    meta = pod["metadata"]
    since = world.now - timestamps.parse(meta["deletionTimestamp"])
    behind = list(_of_its_node(pod, world))
    if finalizers := meta.get("finalizers"):
        behind.append(Cause(f"finalizers keep it: {', '.join(finalizers)}", advice="look at who is to remove them"))
    if since.total_seconds() < 0:
        behind.append(Cause(f"its grace period ends in {-since.total_seconds():.0f} s"))
    return Cause("it is being deleted", tuple(behind))


def _of_its_node(pod: Object, world: World) -> Iterator[Cause]:
    name = dig(pod, "spec", "nodeName", default="")
    node = world.get(NODE, Key("", name))
    if not name:
        return
    if node is None:
        yield Cause(f"its node {name} is gone")
    elif not is_true(node, "Ready"):
        yield Cause(f"its node {name} is not ready", tuple(of_node(node, world)))


def _containers(pod: Object, world: World) -> Iterator[Cause]:
    for status in dig(pod, "status", "initContainerStatuses", default=()):
        done = dig(status, "state", "terminated", "exitCode") == 0 or (status.get("started") and status.get("ready"))
        if not done and not is_true(pod, "Initialized") and (cause := _container(pod, status, world, "init container")):
            yield cause
            return  # those behind it wait for it
    for status in dig(pod, "status", "containerStatuses", default=()):
        if not status.get("ready") and (cause := _container(pod, status, world, "container")):
            yield cause


def _container(pod: Object, status: Object, world: World, what: str) -> Cause | None:
    name = f"{what} {status['name']}"
    waiting, ended = dig(status, "state", "waiting"), dig(status, "state", "terminated")
    if ended is not None:
        return Cause(f"{name} {_end(ended)}", _last_words(ended)) if ended.get("exitCode") else None
    if waiting is not None:
        reason = waiting.get("reason", "")
        if reason in _PULLING:
            return _image(pod, status, waiting, name, world)
        if reason == "CrashLoopBackOff":
            last = dig(status, "lastState", "terminated", default={})
            words = f"{name} {_end(last)}, {status.get('restartCount', 0)} times already; it is tried again later"
            advice = f"pylet kubectl logs {pod['metadata']['name']} -c {status['name']} --previous"
            return Cause(words, (*_last_words(last), *_killed(pod, world)), advice)
        if reason in ("ContainerCreating", "PodInitializing"):
            behind = tuple(_mounts(pod, world))
            return Cause(f"{name} is being made", behind) if behind else None
        return Cause(f"{name} waits: {reason}: {waiting.get('message', '')}", tuple(_missing(pod, world)))
    if probe := world.warning(pod, "Unhealthy"):
        return Cause(f"{name} runs but is not ready: {probe}")
    return Cause(f"{name} runs but is not ready yet")


def _image(pod: Object, status: Object, waiting: Object, name: str, world: World) -> Cause:
    why = waiting.get("message") or world.warning(pod, "Failed", "ErrImageNeverPull", "InspectFailed")
    secrets = (
        Cause(f"the pull secret {one['name']} does not exist")
        for one in dig(pod, "spec", "imagePullSecrets", default=())
        if world.get(SECRET, Key(pod["metadata"]["namespace"], one.get("name", ""))) is None
    )
    behind = (*secrets, *_missing(pod, world))
    advice = f"check the name, or on {pod['spec'].get('nodeName')}: pylet image import FILE"
    return Cause(f"{name} has no image {status.get('image', '')}: {why}", behind, advice)


def _end(ended: Object) -> str:
    code = ended.get("exitCode", 0)
    if ended.get("reason") == "OOMKilled":
        return "was killed because it used more memory than its limit"
    return f"ended with {code} ({_NOT_STARTED.get(code) or _SIGNALS.get(code) or 'its own error'})"


def _last_words(ended: Object) -> tuple[Cause, ...]:
    message = (ended.get("message") or "").strip()
    return (Cause(f"it said: {message.splitlines()[-1]}"),) if message else ()


def _killed(pod: Object, world: World) -> Iterator[Cause]:
    """A probe that ends the container when it fails."""
    said = world.warning(pod, "Unhealthy")
    if said.startswith(("Liveness probe", "Startup probe")):
        yield Cause(f"the kubelet ended it: {said}")


_BEFORE_IT_RUNS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "NetworkNotReady", "FailedCreatePodSandBox")


def _mounts(pod: Object, world: World) -> Iterator[Cause]:
    missing = list(_missing(pod, world))
    yield from missing
    if not missing and (why := world.warning(pod, *_BEFORE_IT_RUNS)):
        yield Cause(why)


def _missing(pod: Object, world: World) -> Iterator[Cause]:
    """ConfigMaps and Secrets it names that are not there."""
    namespace, spec = pod["metadata"]["namespace"], pod["spec"]
    volumes, containers = spec.get("volumes") or (), list(planned(spec))
    sources = [
        *volumes,
        *(part for volume in volumes for part in dig(volume, "projected", "sources", default=())),
        *(each.get("valueFrom") or {} for container in containers for each in container.get("env") or ()),
        *(each for container in containers for each in container.get("envFrom") or ()),
    ]
    named: set[tuple[str, str]] = set()
    for source in sources:
        for field in source.keys() & _NAMING.keys():
            name = source[field].get("secretName") or source[field].get("name")
            if name and not source[field].get("optional"):
                named.add((_NAMING[field], name))
    for what, name in sorted(named):
        if world.get(CONFIG_MAP if what == "configmap" else SECRET, Key(namespace, name)) is None:
            yield Cause(f"the {what} {name} does not exist", advice=f"create it in the namespace {namespace}")


def _gates(pod: Object) -> Iterator[Cause]:
    for gate in dig(pod, "spec", "readinessGates", default=()):
        if not is_true(pod, gate["conditionType"]):
            yield Cause(f"its readiness gate {gate['conditionType']} is not met", advice="whoever sets that condition")
