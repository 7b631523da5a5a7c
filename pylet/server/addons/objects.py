"""The objects themselves: the system's namespaces, what agents read of the cluster's settings, the API's and the DNS's
Services, the system's priority classes, what flow control starts with, the
API's groups.

Sources: pkg/controlplane/controller/{systemnamespaces,kubernetesservice}, pkg/controlplane/reconcilers,
pkg/apis/scheduling/types.go, cluster/addons/dns/coredns.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from pylet.api import clustersettings, flowcontrol
from pylet.api.backends import SERVICE_NAME
from pylet.api.clustersettings import ClusterSettings
from pylet.api.ingress import CONTROLLER
from pylet.api.kinds import servicecidr
from pylet.api.object import Key, Object
from pylet.server.addons import api_services

KEPT = frozenset(
    {
        "ConfigMap",
        "Endpoints",
        "EndpointSlice",
        "FlowSchema",
        "Namespace",
        "PriorityLevelConfiguration",
        "Service",
        "ServiceCIDR",
    }
)
"""What comes back when somebody deletes it; of other kinds a start makes what is missing."""
_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_DNS_PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))


def namespaces() -> list[Object]:
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in _SYSTEM_NAMESPACES]


def objects(
    settings: ClusterSettings, *, advertise_address: str, port: int, disable: Sequence[str] = ()
) -> list[Object]:
    """All that comes after the namespaces; `disable` may name `dns`, `ingress` and `local-storage`."""
    found = [
        *_cluster_settings(settings),
        *_dns_settings(),
        *_priority_classes(),
        *flowcontrol.objects(),
        *api_services.objects(),
        _service_cidr(settings.service_cidr),
        *kubernetes_service(settings.service_cidr, advertise_address, port),
    ]
    if "dns" not in disable:
        found.append(_dns_service(settings.cluster_dns))
    if "local-storage" not in disable:
        found.append(local_path())
    if "ingress" not in disable:
        found.append(_ingress_class())
    return found


def local_path() -> Object:
    """The class of claims that name none: directories of the node their pod runs on (`controllers.local_path`)."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "pylet.io/local-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _ingress_class() -> Object:
    """The class of Ingresses that name none: the nodes themselves serve it (`agent.ingress`)."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "pylet", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": CONTROLLER},
    }


def _cluster_settings(settings: ClusterSettings) -> list[Object]:
    """The ConfigMap, and what lets nodes, and machines about to become nodes, read it."""
    namespace, name = clustersettings.KEY
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": clustersettings.to_data(settings),
        },
        *_readable(clustersettings.KEY, "pylet:cluster-settings", ["get"], "system:bootstrappers", "system:nodes"),
    ]


def _dns_settings() -> list[Object]:
    """What lets nodes follow the ConfigMap their resolver is told by (`agent.network.dnssettings`)."""
    return _readable(Key("kube-system", "pylet-dns"), "pylet:dns-settings", ["get", "list", "watch"], "system:nodes")


def _readable(config_map: Key, role: str, verbs: list[str], *readers: str) -> list[Object]:
    """A Role for one ConfigMap, and who has it."""
    namespace, name = config_map
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": role, "namespace": namespace},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": verbs}],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": namespace},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": role},
            "subjects": [{"apiGroup": group, "kind": "Group", "name": reader} for reader in readers],
        },
    ]


def extension_authentication(client_ca: str, front_proxy_ca: str, front_proxy: str) -> Object:
    """How extension servers tell who asks, by certificate or by what the front proxy says.

    Source: pkg/controlplane/controller/clusterauthenticationtrust.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "client-ca-file": client_ca,
            "requestheader-allowed-names": f'["{front_proxy}"]',
            "requestheader-client-ca-file": front_proxy_ca,
            "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
            "requestheader-uid-headers": '["X-Remote-Uid"]',
            "requestheader-username-headers": '["X-Remote-User"]',
        },
    }


def _service_cidr(service_cidr: str) -> Object:
    """The range of the cluster's own flags, as an object; source: pkg/controlplane/controller/defaultservicecidr."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": servicecidr.DEFAULT},
        "spec": {"cidrs": service_cidr.split(",")},
    }


def kubernetes_service(service_cidr: str, advertise_address: str, port: int) -> list[Object]:
    """`default/kubernetes`, at the service network's first address, and where it leads, if that is no loopback address:
    no pod could reach one, and endpoints may not be there."""
    family = f"IPv{ip_address(advertise_address).version}"
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": str(ip_network(service_cidr.split(",")[0])[1]),
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }
    if ip_address(advertise_address).is_loopback:
        return [service]
    endpoints: Object = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [
            {
                "addresses": [{"ip": advertise_address}],
                "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            }
        ],
    }
    piece: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {SERVICE_NAME: "kubernetes"},
        },
        "addressType": family,
        "endpoints": [{"addresses": [advertise_address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    return [service, endpoints, piece]


def _dns_service(address: str) -> Object:
    """The Service whose address pods ask; every node's agent answers there itself, so it has no endpoints."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "ports": [
                {"name": name, "port": 53, "protocol": protocol, "targetPort": 53} for name, protocol in _DNS_PORTS
            ],
        },
    }


def _priority_classes() -> list[Object]:
    classes = (
        (
            "system-node-critical",
            2000001000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        (
            "system-cluster-critical",
            2000000000,
            "Used for system critical pods that must run in the cluster, "
            "but can be moved to another node if necessary.",
        ),
    )
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "description": description,
        }
        for name, value, description in classes
    ]
