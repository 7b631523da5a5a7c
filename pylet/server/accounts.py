"""As whom the server's own parts write: what admission and webhooks see of them is what upstream's are called.

Each controller is the service account that upstream's has under `--use-service-account-credentials`; what upstream has
in kube-apiserver, or not at all, is the server itself.
Source: cmd/kube-controller-manager/app, ClientOrDie; plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

from __future__ import annotations

from pylet.server.registry import LOOPBACK, User

SCHEDULER = User("system:kube-scheduler", ("system:authenticated",))
_NAMESPACE = "kube-system"
_GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{_NAMESPACE}", "system:authenticated")
_CALLED = {
    "bootstrap-token": "bootstrap-signer",
    "clusterrole-aggregation-controller": "clusterrole-aggregation-controller",
    "daemonset": "daemon-set-controller",
    "endpoint-slice-mirroring": "endpointslicemirroring-controller",
    "garbage-collector": "generic-garbage-collector",
    "horizontal-pod-autoscaler": "horizontal-pod-autoscaler",
    "legacy-serviceaccount-token-cleaner-controller": "legacy-service-account-token-cleaner",
    "node-ipam": "node-controller",
    "persistentvolume": "persistent-volume-binder",
    "persistentvolume-protection": "pv-protection-controller",
    "persistentvolumeclaim-protection": "pvc-protection-controller",
    "pod-garbage-collector": "pod-garbage-collector",
    "resource-claim-template": "resource-claim-controller",
    "root-ca-certificate-publisher": "root-ca-cert-publisher",
    "service-cidr": "service-cidrs-controller",
    "serviceaccount": "service-account-controller",
    "stale-disruption": "disruption-controller",
    "taint-eviction": "node-controller",
    "volume-expand": "expand-controller",
}
_OF_SERVER = frozenset(
    (
        "bootstrap",
        "certificate",  # approves what upstream's may not: nodes' serving certificates
        "crd-registration",
        "custom-resource-definition",
        "flow-schema",
        "gateway",
        "ingress",
        "local-path",
        "service-ipaddress",
        "servicelb",
        "tokens-controller",
    )
)


def of_controller(name: str) -> User:
    if name in _OF_SERVER:
        return LOOPBACK
    return User(f"system:serviceaccount:{_NAMESPACE}:{_CALLED.get(name, f'{name}-controller')}", _GROUPS)
