"""What an apply leaves behind: objects that were applied once and that no file says any more. Source: util/prune."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pylet.cli.failure import Failure
from pylet.cli.kubectl import targets
from pylet.cli.kubectl.documents import LAST_APPLIED
from pylet.cli.kubectl.resources import Resource
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_PRUNED = """
v1/ConfigMap v1/Endpoints v1/PersistentVolumeClaim v1/Pod v1/ReplicationController v1/Secret v1/Service batch/v1/Job
batch/v1/CronJob networking.k8s.io/v1/Ingress apps/v1/DaemonSet apps/v1/Deployment apps/v1/ReplicaSet
apps/v1/StatefulSet v1/Namespace v1/PersistentVolume
"""


def left_behind(
    session: Session, kept: Collection[str], namespaces: Collection[str], *, labels: str, allowlist: Sequence[str]
) -> Iterator[Target]:
    """What was applied, in those namespaces and in none, and is not `kept` by its uid. Raises: Failure."""
    resources = [_resource(session, text) for text in allowlist or _PRUNED.split()]
    places = [(namespace, each) for namespace in sorted(namespaces) for each in resources if each.namespaced]
    places += [("", each) for each in resources if not each.namespaced]
    for namespace, resource in places:
        for obj in targets.pages(session.api, resource.path(namespace), {"labelSelector": labels, "limit": 500})[1]:
            meta = obj["metadata"]
            if LAST_APPLIED in (meta.get("annotations") or {}) and meta["uid"] not in kept:
                yield targets.target_of(resource, obj)


def _resource(session: Session, text: str) -> Resource:
    api_version, _, kind = text.removeprefix("core/").rpartition("/")
    resource = session.catalog.of_kind(api_version, kind)
    if resource is None:
        raise Failure(f"error: invalid GroupVersionKind format: {text}, please follow <group/version/kind>")
    return resource
