"""What `kubectl describe` says of an object: one file per kind declares `describe(page, obj)`; the rest are generic.

A description is pure but for what it looks up next to the object (events, replica sets, endpoints): `Page.listed`.
Source of the layout: kubectl `pkg/describe/describe.go`.
"""

from __future__ import annotations

import importlib
from datetime import datetime

from pylet.cli.kubectl.describe.page import Page
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_RBAC = "rbac.authorization.k8s.io"
_FILES = {
    ("", "Pod"): "pod",
    ("", "Node"): "node",
    ("", "Service"): "service",
    ("", "ConfigMap"): "configmap",
    ("", "Secret"): "secret",
    ("", "Namespace"): "namespace",
    ("", "ServiceAccount"): "serviceaccount",
    ("", "Endpoints"): "endpoints",
    ("", "PersistentVolume"): "persistentvolume",
    ("", "PersistentVolumeClaim"): "persistentvolumeclaim",
    ("apps", "Deployment"): "deployment",
    ("", "ReplicationController"): "replicaset",
    ("apps", "ReplicaSet"): "replicaset",
    ("apps", "DaemonSet"): "daemonset",
    ("apps", "StatefulSet"): "statefulset",
    ("batch", "Job"): "job",
    ("discovery.k8s.io", "EndpointSlice"): "endpointslice",
    (_RBAC, "Role"): "role",
    (_RBAC, "ClusterRole"): "role",
    (_RBAC, "RoleBinding"): "rolebinding",
    (_RBAC, "ClusterRoleBinding"): "rolebinding",
    ("certificates.k8s.io", "CertificateSigningRequest"): "certificatesigningrequest",
    ("scheduling.k8s.io", "PriorityClass"): "priorityclass",
}


def text_of(session: Session, target: Target, *, events: bool, now: datetime, page_size: int = 500) -> str:
    """Raises: ApiError, ConnectionFailed."""
    page = Page(session.api, now, with_events=events, page_size=page_size)
    file = _FILES.get((target.resource.group, target.resource.kind), "generic")
    module = f"{__name__}.{file}"
    importlib.import_module(module).describe(page, target.obj)
    return page.text()
