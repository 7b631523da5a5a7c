"""The description of Endpoints."""

from collections.abc import Sequence

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, endpoints: Object, *, events: bool) -> None:
    page.head(endpoints)
    page.labelled(endpoints)
    page.write("Subsets:")
    for subset in endpoints.get("subsets") or ():
        page.write(f"Addresses:\t{_addresses(subset.get('addresses') or ())}", 1)
        page.write(f"NotReadyAddresses:\t{_addresses(subset.get('notReadyAddresses') or ())}", 1)
        if ports := subset.get("ports"):
            page.write("Ports:", 1)
            page.write("Name\tPort\tProtocol", 2)
            page.write("----\t----\t--------", 2)
            for port in ports:
                page.write(f"{port.get('name') or '<unset>'}\t{port['port']}\t{port.get('protocol', 'TCP')}", 2)
        page.write("")
    if events:
        page.events(endpoints)


def _addresses(found: Sequence[Object]) -> str:
    return ",".join(address["ip"] for address in found) or "<none>"
