"""Who a pod of a StatefulSet is: its ordinal, its name, its claims; and the pod made for an ordinal.

Source: upstream `pkg/controller/statefulset/stateful_set_utils.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.statefulset import KIND as STATEFUL_SET
from pylet.api.object import Key, Object, labels_of
from pylet.api.podtemplate import pod_of

REVISION_LABEL = "controller-revision-hash"
_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
_INDEX_LABEL = "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)\Z")


def parent_and_ordinal(name: str) -> tuple[str, int]:
    """`web-3` is number 3 of `web`; -1 for a name that says nothing."""
    found = _NAME.match(name)
    return (found[1], int(found[2])) if found else ("", -1)


def ordinal_of(pod: Object) -> int:
    return parent_and_ordinal(pod["metadata"]["name"])[1]


def ordinals(stateful_set: Object) -> range:
    spec = stateful_set["spec"]
    start = (spec.get("ordinals") or {}).get("start", 0)
    return range(start, start + spec.get("replicas", 1))


def is_member(stateful_set: Object, pod: Key) -> bool:
    return bool(parent_and_ordinal(pod.name)[0] == stateful_set["metadata"]["name"])


def missing_labels(pod: Object) -> dict[str, str]:
    """The labels a pod should bear by its name and does not."""
    name = pod["metadata"]["name"]
    if labels_of(pod).get(_NAME_LABEL) == name:
        return {}
    return {_NAME_LABEL: name, _INDEX_LABEL: str(ordinal_of(pod))}


def claim_keys(stateful_set: Object, ordinal: int) -> dict[str, Key]:
    """The claims of an ordinal, by the name of the volume."""
    meta = stateful_set["metadata"]
    names = (template["metadata"]["name"] for template in stateful_set["spec"].get("volumeClaimTemplates") or ())
    return {name: Key(meta["namespace"], f"{name}-{meta['name']}-{ordinal}") for name in names}


def claims(stateful_set: Object, ordinal: int) -> Iterator[Object]:
    keys, selected = claim_keys(stateful_set, ordinal), stateful_set["spec"]["selector"].get("matchLabels") or {}
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        meta, key = template["metadata"], keys[template["metadata"]["name"]]
        kept = {name: meta[name] for name in ("annotations", "finalizers") if meta.get(name)}
        labels = {**(meta.get("labels") or {}), **selected}
        yield {
            "apiVersion": CLAIM.api_version,
            "kind": CLAIM.name,
            "metadata": {**kept, "name": key.name, "namespace": key.namespace, "labels": labels},
            "spec": template["spec"],
        }


def pod_for(stateful_set: Object, ordinal: int, revision: Object) -> Object:
    """The pod of an ordinal, from the template of a revision."""
    template = revision["data"]["spec"]["template"]
    made = pod_of(template, stateful_set, STATEFUL_SET)
    meta = made["metadata"]
    del meta["generateName"]
    meta["name"] = f"{stateful_set['metadata']['name']}-{ordinal}"
    identity = {_NAME_LABEL: meta["name"], _INDEX_LABEL: str(ordinal), REVISION_LABEL: revision["metadata"]["name"]}
    meta["labels"] = {**(meta.get("labels") or {}), **identity}
    keys = claim_keys(stateful_set, ordinal)
    own = [{"name": name, "persistentVolumeClaim": {"claimName": key.name}} for name, key in keys.items()]
    others = [volume for volume in template["spec"].get("volumes") or () if volume["name"] not in keys]
    made["spec"] = {**template["spec"], "hostname": meta["name"], "volumes": [*own, *others]}
    if stateful_set["spec"].get("serviceName"):
        made["spec"]["subdomain"] = stateful_set["spec"]["serviceName"]
    return made
