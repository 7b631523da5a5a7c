"""The description of a Service."""

from pylet.api.backends import SERVICE_NAME
from pylet.api.object import Object, dig
from pylet.cli.kubectl.describe.page import Page, pairs

_SHOWN_ENDPOINTS = 3


def describe(page: Page, service: Object) -> None:
    spec, meta = service["spec"], service["metadata"]
    page.head(service)
    page.labelled(service)
    page.write(f"Selector:\t{pairs(spec.get('selector'))}")
    page.write(f"Type:\t{spec.get('type', '')}")
    page.fields(spec, ("IP Family Policy", "ipFamilyPolicy"))
    page.write(f"IP Families:\t{','.join(spec.get('ipFamilies') or ()) or '<none>'}")
    page.write(f"IP:\t{spec.get('clusterIP', '')}")
    page.write(f"IPs:\t{','.join(spec.get('clusterIPs') or ()) or '<none>'}")
    page.fields(
        spec,
        ("External IPs", "externalIPs"),
        ("Desired LoadBalancer IP", "loadBalancerIP"),
        ("External Name", "externalName"),
    )
    if ingress := dig(service, "status", "loadBalancer", "ingress"):
        page.write(f"LoadBalancer Ingress:\t{', '.join(i.get('ip') or i.get('hostname', '') for i in ingress)}")
    slices = page.listed(
        f"/apis/discovery.k8s.io/v1/namespaces/{meta['namespace']}/endpointslices",
        labelSelector=f"{SERVICE_NAME}={meta['name']}",
    )
    for port in spec.get("ports") or ():
        _port(page, port, slices)
    page.write(f"Session Affinity:\t{spec.get('sessionAffinity', '')}")
    page.fields(
        spec,
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("HealthCheck NodePort", "healthCheckNodePort"),
        ("LoadBalancer Source Ranges", "loadBalancerSourceRanges"),
        ("Traffic Distribution", "trafficDistribution"),
    )
    page.events(service)


def _port(page: Page, port: Object, slices: list[Object]) -> None:
    name, protocol = port.get("name") or "<unset>", port.get("protocol", "TCP")
    page.write(f"Port:\t{name}\t{port['port']}/{protocol}")
    page.write(f"TargetPort:\t{port.get('targetPort', port['port'])}/{protocol}")
    page.fields(port, ("AppProtocol", "appProtocol"))
    if port.get("nodePort"):
        page.write(f"NodePort:\t{name}\t{port['nodePort']}/{protocol}")
    page.write(f"Endpoints:\t{endpoints(slices, port.get('name', ''))}")


def endpoints(slices: list[Object], port_name: str) -> str:
    """The ready endpoints of a port, the first three by address."""
    if not slices:
        return "<none>"
    found = []
    for slice_ in slices:
        ready = [
            e["addresses"][0] for e in slice_.get("endpoints") or () if dig(e, "conditions", "ready", default=True)
        ]
        if not slice_.get("ports"):
            found += ready
        for port in slice_.get("ports") or ():
            if (port.get("name") or "") == port_name:
                found += [f"[{a}]:{port['port']}" if ":" in a else f"{a}:{port['port']}" for a in ready]
    more = len(found) - _SHOWN_ENDPOINTS
    return ",".join(found[:_SHOWN_ENDPOINTS]) + (f" + {more} more..." if more > 0 else "")
