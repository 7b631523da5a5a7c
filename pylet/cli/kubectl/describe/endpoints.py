"""The description of Endpoints."""

from collections.abc import Sequence

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, endpoints: Object) -> None:
    page.head(endpoints)
    page.labelled(endpoints)
    page.write("Subsets:")
    for subset in endpoints.get("subsets") or ():
        page.write(f"Addresses:\t{_addresses(subset.get('addresses') or ())}", 1)
        page.write(f"NotReadyAddresses:\t{_addresses(subset.get('notReadyAddresses') or ())}", 1)
        if ports := subset.get("ports"):
            page.write("Ports:", 1)
            rows = [(port.get("name") or "<unset>", str(port["port"]), port.get("protocol", "TCP")) for port in ports]
            page.table(("Name", "Port", "Protocol"), rows, 2)
        page.write("")
    page.events(endpoints)


def _addresses(found: Sequence[Object]) -> str:
    return ",".join(address["ip"] for address in found) or "<none>"
