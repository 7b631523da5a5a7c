"""Why a claim has no volume, a service no answer, a namespace does not go, a budget allows no eviction."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api import selector
from pylet.api.backends import SERVICE_NAME
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.storageclass import KIND as STORAGE_CLASS
from pylet.api.object import Key, Object, condition_of, conditions_of, dig, is_terminating
from pylet.api.podtemplate import is_ready
from pylet.cli.why.cause import Cause
from pylet.cli.why.pods import of_pod
from pylet.cli.why.world import World


def of_claim(claim: Object, world: World) -> Iterator[Cause]:
    if dig(claim, "status", "phase") == "Bound" or is_terminating(claim):
        return
    name = claim["spec"].get("storageClassName")
    if name:
        found = world.get(STORAGE_CLASS, Key("", name))
        if found is None:
            yield Cause(f"its storage class {name} does not exist", advice="pylet kubectl get storageclass")
            return
        if found.get("volumeBindingMode") == "WaitForFirstConsumer":
            users = [pod for pod in world.select(POD, claim["metadata"]["namespace"]) if _uses(pod, claim)]
            if not users:
                yield Cause("it waits for a pod that uses it: only then a volume is made, where the pod goes")
            for pod in users:
                yield Cause(f"pod {pod['metadata']['name']} uses it", tuple(of_pod(pod, world)))
    if warning := world.warning(claim):
        yield Cause(warning)
    elif not name:
        yield Cause("no volume fits it, and it names no storage class that could make one")


def _uses(pod: Object, claim: Object) -> bool:
    name = claim["metadata"]["name"]
    return any(
        dig(volume, "persistentVolumeClaim", "claimName") == name for volume in dig(pod, "spec", "volumes", default=())
    )


def of_service(service: Object, world: World) -> Iterator[Cause]:
    spec, meta = service["spec"], service["metadata"]
    if spec.get("type") == "ExternalName":
        return
    slices = [
        entry.object
        for entry in world.table(ENDPOINT_SLICE).in_namespace(meta["namespace"]).values()
        if entry.labels.get(SERVICE_NAME) == meta["name"]
    ]
    ready = [
        endpoint
        for piece in slices
        for endpoint in piece.get("endpoints") or ()
        if dig(endpoint, "conditions", "ready", default=True)
    ]
    if ready and any(piece.get("ports") for piece in slices):
        if spec.get("type") == "LoadBalancer" and not dig(service, "status", "loadBalancer", "ingress"):
            yield Cause("nobody has given it an address from outside", tuple(_warned(service, world)))
        return
    if not spec.get("selector"):
        yield Cause("it selects no pods, and nobody has given it endpoints")
        return
    chosen = world.select(POD, meta["namespace"], selector.from_labels(spec["selector"]))
    wanted = ",".join(f"{name}={value}" for name, value in spec["selector"].items())
    if not chosen:
        yield Cause(
            f"no pod has the labels {wanted}", advice=f"pylet kubectl get pods --show-labels -n {meta['namespace']}"
        )
    elif not any(map(is_ready, chosen)):
        behind = [Cause(f"pod {pod['metadata']['name']}", tuple(of_pod(pod, world))) for pod in chosen[:5]]
        yield Cause(f"none of its {len(chosen)} pods is ready", tuple(behind))
    else:
        named = [str(port["targetPort"]) for port in spec.get("ports") or () if isinstance(port.get("targetPort"), str)]
        yield Cause(
            f"its pods have no port of the name {', '.join(named)}" if named else "its endpoints are on their way"
        )


def of_budget(budget: Object, world: World) -> Iterator[Cause]:
    status = budget.get("status") or {}
    if status.get("disruptionsAllowed"):
        return
    allowed = condition_of(budget, "DisruptionAllowed") or {}
    if allowed.get("reason") == "SyncFailed":
        yield Cause(f"nobody can say how many pods there should be: {allowed.get('message', '')}")
    elif not status.get("expectedPods"):
        yield Cause("it covers no pods")
    else:
        chosen = selector.from_object(budget["spec"].get("selector"))
        pods = [pod for pod in world.select(POD, budget["metadata"]["namespace"], chosen) if not is_ready(pod)]
        behind = tuple(Cause(f"pod {pod['metadata']['name']}", tuple(of_pod(pod, world))) for pod in pods[:5])
        healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
        words = f"no pod may be evicted: {healthy} of {status['expectedPods']} are healthy, and {desired} have to stay"
        yield Cause(words, behind)


def _warned(obj: Object, world: World) -> Iterator[Cause]:
    if warning := world.warning(obj):
        yield Cause(warning)


def of_namespace(namespace: Object, world: World) -> Iterator[Cause]:
    if not is_terminating(namespace):
        return
    left = [str(c.get("message") or c["type"]) for c in conditions_of(namespace) if c["status"] == "True"]
    yield Cause("it is being deleted", tuple(map(Cause, left)))
