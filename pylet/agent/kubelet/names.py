"""The names a pod has and those it knows by itself: host name, hosts file. Pure.

Source: upstream `pkg/kubelet/kubelet_pods.go` (GeneratePodHostNameAndDomain, managedHostsFileContent).
"""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.object import Object

_LABEL_LENGTH, _NODE_NAME_LENGTH = 63, 64


class NameTooLong(Exception):
    """The pod's full name does not fit where the kernel keeps a host name."""


def hostname(pod: Object) -> str:
    spec = pod["spec"]
    name = spec.get("hostnameOverride") or spec.get("hostname") or pod["metadata"]["name"]
    return str(name) if len(name) <= _LABEL_LENGTH else str(name)[:_LABEL_LENGTH].rstrip("-.")


def domain(pod: Object, cluster_domain: str) -> str:
    """What comes after the host name; "" for a pod without a subdomain."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain or pod["spec"].get("hostnameOverride"):
        return ""
    return f"{subdomain}.{pod['metadata']['namespace']}.svc.{cluster_domain}"


def kernel_hostname(pod: Object, cluster_domain: str) -> str:
    """What `hostname` prints inside. Raises: NameTooLong."""
    name, inside = hostname(pod), domain(pod, cluster_domain)
    if not inside or not pod["spec"].get("setHostnameAsFQDN"):
        return name
    full = f"{name}.{inside}"
    if len(full) > _NODE_NAME_LENGTH:
        raise NameTooLong(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long "
            f"({_NODE_NAME_LENGTH} characters is the max, {len(full)} characters requested)"
        )
    return full


def hosts_file(pod: Object, ips: Sequence[str], cluster_domain: str) -> str:
    """The /etc/hosts of a pod with an address of its own."""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    name, inside = hostname(pod), domain(pod, cluster_domain)
    full = f"{name}.{inside}\t{name}" if inside else name
    lines += [f"{ip}\t{full}" for ip in ips]
    return "\n".join([*lines, *host_aliases(pod)]) + "\n"


def host_aliases(pod: Object) -> list[str]:
    aliases = pod["spec"].get("hostAliases") or ()
    lines = ["\t".join([alias["ip"], *(alias.get("hostnames") or ())]) for alias in aliases]
    return ["", "# Entries added by HostAliases.", *lines] if lines else []
