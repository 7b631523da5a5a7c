"""Clients of sticky services: the kernel notes itself who went where; whose endpoint has gone is forgotten here."""

from __future__ import annotations

from pylet.agent import nft
from pylet.agent.nftset import Element
from pylet.agent.proxy.rules import AFFINITY
from pylet.agent.proxy.ruleset import Changes


def forget(table: nft.Table, changes: Changes) -> None:
    """Forget who went to endpoints that are gone. Raises: NftError."""
    # an endpoint whose number changed is still there
    gone = _endpoints(changes.deleted) - _endpoints(changes.added)
    if not gone:
        return
    stale = []
    for name, type_ in AFFINITY.items():
        for key, value in table.elements(name):
            client_and_frontend = type_.key_text(key)
            if (client_and_frontend.partition(" . ")[2], type_.value_text(value)) in gone:
                stale.append(Element(name, client_and_frontend))
    if stale:
        table.change(stale, ())


def _endpoints(elements: list[Element]) -> set[tuple[str, str]]:
    """(frontend, endpoint) of those among the elements that say so."""
    names = ("endpoint4", "outside-endpoint4", "endpoint6", "outside-endpoint6")
    return {(element.key.partition(" . ")[2], element.value) for element in elements if element.set in names}
