"""Which pods a workload stands for: what `logs deploy/x` and `exec deploy/x` mean (kubectl's polymorphichelpers)."""

from __future__ import annotations

import time

from pylet.api import containers
from pylet.api.errors import NotFound
from pylet.api.object import Object, dig
from pylet.api.podtemplate import is_ready
from pylet.cli.failure import Failure
from pylet.cli.kubectl import watching
from pylet.cli.kubectl.resources import Resource
from pylet.cli.kubectl.session import Session

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def selector_of(obj: Object) -> str:
    """The label selector of a workload or service as text. Raises: Failure when it has none."""
    selector = dig(obj, "spec", "selector")
    if not selector:
        raise Failure(f"error: cannot attach to {obj.get('kind', '')}: selector not found")
    if not isinstance(selector.get("matchLabels", selector.get("matchExpressions")), dict | list):
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(expression.get("values") or ())
        match expression["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def behind(session: Session, word: str) -> tuple[Resource, Object, list[Object]]:
    """What `POD` or `TYPE/NAME` names, and its pods, the best to talk to first. Raises: Failure, ApiError."""
    type_, slash, name = word.partition("/")
    resource = session.catalog.find(type_) if slash else session.catalog.find("pods")
    try:
        obj = session.api.request("GET", resource.path(session.namespace, name if slash else word))
    except NotFound:
        # Where the namespace itself is missing, that is what is told.
        session.api.request("GET", f"/api/v1/namespaces/{session.namespace}")
        raise
    if resource.kind == "Pod":
        return resource, obj, [obj]
    query = {"labelSelector": selector_of(obj)}
    pods = (
        session.api.request("GET", session.catalog.find("pods").path(session.namespace), query=query).get("items") or []
    )
    return resource, obj, sorted(pods, key=_rank)


def wait_behind(session: Session, word: str, timeout_seconds: float) -> tuple[Resource, Object, list[Object]]:
    """As `behind`, as soon as there is a pod. Raises: Failure, ApiError."""
    resource, obj, pods = behind(session, word)
    deadline = time.monotonic() + timeout_seconds
    while not pods:
        path, query = session.catalog.find("pods").path(session.namespace), {"labelSelector": selector_of(obj)}
        if not any(pod is not None for pod in watching.first(session.api, path, query, deadline)):
            raise Failure("error: timed out waiting for the condition")
        resource, obj, pods = behind(session, word)
    return resource, obj, pods


def _rank(pod: Object) -> tuple[bool, bool, bool, str]:
    """Assigned before unassigned, running before others, ready before not, the longest-lived first."""
    running = dig(pod, "status", "phase") == "Running"
    return (
        not dig(pod, "spec", "nodeName"),
        not running,
        not is_ready(pod),
        pod["metadata"].get("creationTimestamp", ""),
    )


def containers_of(pod: Object) -> list[str]:
    return [container["name"] for container in containers.every(pod["spec"])]


def default_container(pod: Object, *, quiet: bool = True) -> str:
    """The container meant when none is named; says so on stderr when there was a choice."""
    import sys

    names = [container["name"] for container in pod["spec"]["containers"]]
    marked = (pod["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER)
    if marked in names:
        return str(marked)
    every = containers_of(pod)
    if len(every) > 1 and not quiet:
        ordered = [*names, *(f"{name} (init)" for name in every if name not in names)]
        print(f'Defaulted container "{names[0]}" out of: {", ".join(ordered)}', file=sys.stderr)
    return str(names[0])


def refuse_unknown(pod: Object, container: str) -> None:
    """Raises: Failure, when the pod has no such container."""
    names = containers_of(pod)
    if container and container not in names:
        told = f"container {container} is not valid for pod {pod['metadata']['name']} out of: {', '.join(names)}"
        raise Failure(f"error: {told}")
