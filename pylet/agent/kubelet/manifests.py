"""A file of the manifest directory as the pod this node runs, and its mirror as the API shows it. Pure but for parsing.

Source: upstream `pkg/kubelet/config/{common,file}.go`, `pkg/kubelet/pod/mirror_client.go`.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from pylet.api import timestamps
from pylet.api.errors import BadRequest
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, annotations_of
from pylet.api.podtemplate import TERMINAL

HASH, MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"
_SOURCE, _SEEN = "kubernetes.io/config.source", "kubernetes.io/config.seen"


def is_static(pod: Object) -> bool:
    """Whether a file says it, and not the API."""
    return bool(annotations_of(pod).get(_SOURCE, "api") != "api")


class BadManifest(ValueError):
    """The file is not a pod that could run without the API."""


def static_pod(text: bytes, path: str, node_name: str, now: datetime) -> Object:
    """The pod of a manifest, defaulted; its uid changes with what the file says. Raises: BadManifest."""
    from pylet.api.schema import default_kind, of_kind
    from pylet.api.wire import decode

    try:
        pod = decode.recognized(text)
        of_kind(POD).decode(pod)
        told = f"{pod['apiVersion']} {pod['kind']}"
        meta, spec = pod["metadata"], pod["spec"]
        name = f"{meta['name']}-{node_name.lower()}"
    except (BadRequest, ValueError, KeyError) as bad:
        raise BadManifest(f"{path}: no Pod: {bad}") from bad
    if told != "v1 Pod":
        raise BadManifest(f"{path}: {told} is no Pod of v1")
    if not spec.get("containers"):
        raise BadManifest(f"{path}: spec.containers: Required value")
    if "serviceAccountName" in spec or "serviceAccount" in spec:
        raise BadManifest(f"{path}: static pods may not reference serviceAccounts")
    digest = hashlib.md5(f"host:{node_name}file:{path}".encode() + text, usedforsecurity=False).hexdigest()
    stamp = timestamps.format_micro(now)
    pod["metadata"] = {
        **meta,
        "name": name,
        "namespace": meta.get("namespace") or "default",
        "uid": meta.get("uid") or digest,
        "resourceVersion": "0",
        "creationTimestamp": timestamps.format_time(now),
        "annotations": {**annotations_of(pod), HASH: digest, _SOURCE: "file", _SEEN: stamp},
    }
    spec["nodeName"] = node_name
    spec["tolerations"] = [*(spec.get("tolerations") or ()), {"operator": "Exists", "effect": "NoExecute"}]
    pod["status"] = {}
    default_kind(POD, pod)
    return pod


def mirror(pod: Object, node_uid: str) -> Object:
    """What is created in the API for it, owned by the Node."""
    meta = {name: pod["metadata"][name] for name in ("name", "namespace", "labels") if name in pod["metadata"]}
    annotations = annotations_of(pod)
    owner = {"apiVersion": "v1", "kind": "Node", "name": pod["spec"]["nodeName"], "uid": node_uid, "controller": True}
    meta |= {"annotations": {**annotations, MIRROR: annotations[HASH]}, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod["spec"]}


def is_mirror_of(found: Object, pod: Object) -> bool:
    return annotations_of(found).get(MIRROR) == annotations_of(pod)[HASH]


def as_static(pod: Object, found: Object, *, is_told: bool = True) -> Object:
    """The pod of the file with what the API knows of it through its mirror.

    Of what this kubelet has not told itself, init containers are asked of the runtime anew, as upstream does.
    """
    version, status = found["metadata"]["resourceVersion"], found.get("status") or {}
    if not is_told and status.get("phase") not in TERMINAL:
        status = {name: value for name, value in status.items() if name != "initContainerStatuses"}
    return {**pod, "metadata": {**pod["metadata"], "resourceVersion": version}, "status": status}
