"""The node authorizer: a table of what the node n may, in a small cluster."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kind import Kind
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.resourceslice import KIND as SLICE
from pylet.api.kinds.volumeattachment import KIND as ATTACHMENT
from pylet.api.object import Key, Object
from pylet.server.auth import default_roles
from pylet.server.auth.attributes import Decision
from pylet.server.auth.node import GROUP, NodeAuthorizer
from pylet.server.auth.rbac import Rule
from pylet.server.auth.relations import Relations
from pylet.server.registry import User
from tests.server.auth.test_rbac import asked

SPEC: Object = {
    "serviceAccountName": "bot",
    "imagePullSecrets": [{"name": "pull"}],
    "resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}],
    "containers": [
        {"env": [{"valueFrom": {"secretKeyRef": {"name": "env"}}}], "envFrom": [{"configMapRef": {"name": "all"}}]}
    ],
    "volumes": [
        {"name": "s", "secret": {"secretName": "vol"}},
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "part"}}]}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
        {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "d", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "driver"}}},
    ],
}
MIRROR = {"annotations": {"kubernetes.io/config.mirror": "1"}}
PODS: list[Object] = [
    {"metadata": {"name": "p", "namespace": "a"}, "spec": SPEC},
    {
        "metadata": {"name": "m", "namespace": "a", **MIRROR},
        "spec": {"volumes": [{"secret": {"secretName": "static"}}]},
    },
]
FOUND: dict[tuple[Kind, Key], Object] = {
    (CLAIM, Key("a", "claim")): {"spec": {"volumeName": "pv"}},
    (CLAIM, Key("a", "p-e")): {"spec": {"volumeName": "other"}},
    (VOLUME, Key("", "pv")): {
        "spec": {
            "claimRef": {"namespace": "a", "name": "claim"},
            "csi": {
                "nodeStageSecretRef": {"namespace": "storage", "name": "stage"},
                "controllerPublishSecretRef": {"namespace": "storage", "name": "attach"},
            },
        }
    },
    (VOLUME, Key("", "other")): {
        "spec": {
            "claimRef": {"namespace": "b", "name": "claim"},
            "csi": {"nodeStageSecretRef": {"namespace": "storage", "name": "other"}},
        }
    },
    (VOLUME, Key("", "local")): {"metadata": {"labels": {"pylet.io/node": "n"}}, "spec": {}},
    (ATTACHMENT, Key("", "mine")): {"spec": {"nodeName": "n"}},
    (ATTACHMENT, Key("", "theirs")): {"spec": {"nodeName": "m"}},
    (SLICE, Key("", "mine")): {"spec": {"nodeName": "n"}},
}
ROLE = next(role for role in default_roles.objects() if role["metadata"]["name"] == "system:node")
AUTHORIZER = NodeAuthorizer(
    [Rule.of(rule) for rule in ROLE["rules"]],
    Relations(
        lambda node: PODS if node == "n" else (),
        lambda kind, key: FOUND.get((kind, key)),
        lambda namespace: [Key(namespace, "certificate")] if namespace == "shop" else (),
    ),
)
NODE = User("system:node:n", (GROUP, "system:authenticated"))
NO_RELATION = "no relationship found between node 'n' and this object"


@pytest.mark.parametrize(
    "question",
    [
        "get core/secrets a/vol",
        "watch core/secrets a/pull",
        "watch core/secrets shop/certificate",
        "list core/secrets a/env",
        "get core/secrets a/driver",
        "get core/secrets storage/stage",
        "get core/configmaps a/all",
        "get core/configmaps a/part",
        "get core/persistentvolumeclaims a/claim",
        "get core/persistentvolumeclaims a/p-e",
        "patch core/persistentvolumeclaims/status a/claim",
        "get core/persistentvolumes /pv",
        "get core/persistentvolumes /local",
        "patch core/persistentvolumes /local",
        "get resource.k8s.io/resourceclaims a/gpu",
        "get storage.k8s.io/volumeattachments /mine",
        "get core/serviceaccounts a/bot",
        "create core/serviceaccounts/token a/bot",
        "get core/pods a/p",
        "create core/pods a/new",
        "patch core/pods/status a/p",
        "create core/pods/eviction a/p",
        "get core/nodes /n",
        "patch core/nodes/status /n",
        "update coordination.k8s.io/leases kube-node-lease/n",
        "get storage.k8s.io/csinodes /n",
        "update resource.k8s.io/resourceslices /mine",
        "create resource.k8s.io/resourceslices",
        "list core/services",
    ],
)
def test_what_concerns_the_node_is_open_to_it(question: str) -> None:
    assert AUTHORIZER.decide(asked(question, NODE)) == Decision(True)


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("get core/secrets a/other", NO_RELATION),
        ("get core/secrets shop/other", NO_RELATION),
        ("get core/secrets b/vol", NO_RELATION),
        ("get core/secrets a/static", NO_RELATION),
        ("get core/secrets storage/attach", NO_RELATION),
        ("get core/secrets storage/other", NO_RELATION),
        ("list core/secrets a", "No Object name found"),
        ("list core/secrets", "can only read namespaced object of this type"),
        ("delete core/secrets a/vol", "can only read resources of this type"),
        ("list core/persistentvolumes", "can only get individual resources of this type"),
        ("get core/persistentvolumes /other", NO_RELATION),
        ("patch core/persistentvolumes /pv", "can only get individual resources of this type"),
        ("delete core/persistentvolumes /local", "can only get individual resources of this type"),
        ("patch core/persistentvolumes/status /local", "can only get individual resources of this type"),
        ("get storage.k8s.io/volumeattachments /theirs", NO_RELATION),
        ("create core/serviceaccounts a/bot", "can only create token subresource of serviceaccount"),
        ("create core/serviceaccounts/token a/other", NO_RELATION),
        ("list core/serviceaccounts a", "can only create tokens for individual service accounts"),
        ("get core/pods a/other", NO_RELATION),
        ("list core/pods", "can only list/watch pods with spec.nodeName field selector"),
        ("patch core/pods a/p", ""),
        ("get core/nodes /m", "node 'n' cannot read 'm', only its own Node object"),
        ("list core/nodes", "node 'n' cannot read all nodes, only its own Node object"),
        (
            "get coordination.k8s.io/leases kube-system/n",
            'can only access leases in the "kube-node-lease" system namespace',
        ),
        (
            "get coordination.k8s.io/leases kube-node-lease/m",
            "can only access node lease with the same name as the requesting node",
        ),
        ("list storage.k8s.io/csinodes", "can only get, create, update, patch, or delete a CSINode"),
        (
            "list resource.k8s.io/resourceslices",
            "can only list/watch/deletecollection resourceslices with nodeName field selector",
        ),
        ("delete apps/deployments a/d", ""),
    ],
)
def test_what_does_not_is_closed(question: str, why: str) -> None:
    assert AUTHORIZER.decide(asked(question, NODE)) == Decision(False, why)


@pytest.mark.parametrize(("fields", "allowed"), [("spec.nodeName=n", True), ("spec.nodeName=m", False), ("a==", False)])
def test_lists_of_pods_have_to_select_its_own(fields: str, allowed: bool) -> None:

    question: Any = asked("watch core/pods", NODE)._replace(fields=fields)
    assert AUTHORIZER.decide(question).allowed is allowed


@pytest.mark.parametrize(
    ("labels", "allowed"),
    [
        ("pylet.io/node=n", True),
        ("pylet.io/node=n,tier=fast", True),
        ("pylet.io/node in (n)", True),
        ("pylet.io/node in (n,m)", False),
        ("pylet.io/node!=m", False),
        ("pylet.io/node=m", False),
        ("", False),
        ("a=(", False),
    ],
)
@pytest.mark.parametrize("verb", ["list", "watch"])
def test_lists_of_volumes_have_to_select_its_own(verb: str, labels: str, allowed: bool) -> None:
    question: Any = asked(f"{verb} core/persistentvolumes", NODE)._replace(labels=labels)
    assert AUTHORIZER.decide(question).allowed is allowed


def test_who_is_no_node_is_left_to_others() -> None:
    assert AUTHORIZER.decide(asked("get core/secrets a/vol", User("system:node:n"))) == Decision(False)
    nameless = User("system:node:", (GROUP,))
    assert AUTHORIZER.decide(asked("get core/nodes /n", nameless)).reason == 'unknown node for user "system:node:"'
