"""The description of an EndpointSlice."""

from pylet.api.object import Object, dig
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, endpoint_slice: Object) -> None:
    page.head(endpoint_slice)
    page.labelled(endpoint_slice)
    page.write(f"AddressType:\t{endpoint_slice.get('addressType', '')}")
    _ports(page, endpoint_slice)
    endpoints = endpoint_slice.get("endpoints") or ()
    page.write(f"Endpoints:{'' if endpoints else ' <none>'}")
    for endpoint in endpoints:
        _endpoint(page, endpoint)
    page.events(endpoint_slice)


def _ports(page: Page, endpoint_slice: Object) -> None:
    ports = endpoint_slice.get("ports")
    if not ports:
        page.write("Ports: <unset>")
        return
    page.write("Ports:")
    page.table(
        ("Name", "Port", "Protocol"),
        [
            (port.get("name") or "<unset>", str(port.get("port", "<unset>")), port.get("protocol", "TCP"))
            for port in ports
        ],
    )


def _endpoint(page: Page, endpoint: Object) -> None:
    page.write(f"- Addresses:\t{', '.join(endpoint.get('addresses') or ()) or '<none>'}", 1)
    page.write("Conditions:", 2)
    ready = dig(endpoint, "conditions", "ready")
    page.write(f"Ready:\t{'<unset>' if ready is None else str(ready).lower()}", 3)
    page.write(f"Hostname:\t{endpoint.get('hostname', '<unset>')}", 2)
    if ref := endpoint.get("targetRef"):
        page.write(f"TargetRef:\t{ref.get('kind', '')}/{ref.get('name', '')}", 2)
    page.write(f"NodeName:\t{endpoint.get('nodeName', '<unset>')}", 2)
    page.write(f"Zone:\t{endpoint.get('zone', '<unset>')}", 2)
