"""Which elements of nftables sets and maps serve some frontends, and what changes between two such pictures.

Pure. The rules are fixed (`rules`): services are elements alone, and there is one small chain per endpoint *count* (not
per service), so that a change touches its own elements and nothing else:

    service4     10.43.0.1 . tcp . 80 : goto pick4-3                     which chain
    endpoint4    0:2 . 10.43.0.1 . tcp . 80 : 10.42.0.7 . 8080           which endpoint is number 2

A frontend whose external policy is Local has two answers: `inside` for pods and the node itself, `outside` for
others. Elements of different frontends differ, but for those that say which endpoints are on this node: `Installed`
counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pylet.agent.nftset import Element
from pylet.agent.proxy.model import Endpoint, Frontend

Ruleset: TypeAlias = frozenset[Element]

_SHARED = ("hairpin4", "hairpin6")


@dataclass(frozen=True, slots=True)
class Changes:
    """One transaction's worth of difference; an element whose value changes is in both: the kernel replaces none."""

    deleted: list[Element]
    added: list[Element]

    def __bool__(self) -> bool:
        return bool(self.deleted or self.added)

    @property
    def chains(self) -> set[str]:
        """The chains that what is added goes to."""
        return {element.value.partition(" ")[2] for element in self.added if element.value.startswith(("goto", "jump"))}


class Installed:
    """How many of the services in the kernel's table need each of the elements that services share."""

    def __init__(self) -> None:
        self._shared: Counter[Element] = Counter()

    def change(self, before: Iterable[Element], after: Iterable[Element]) -> Changes:
        """What turns the table from holding `before` (each element once for each of its users) to holding `after`."""
        counts: dict[Element, int] = {}
        for elements, each in ((after, 1), (before, -1)):
            for element in elements:
                counts[element] = counts.get(element, 0) + each
        deleted, added = [], []
        for element, count in counts.items():
            if element.set in _SHARED:
                old = self._shared[element]
                new = self._shared[element] = old + count
                if not new:
                    del self._shared[element]
                count = bool(new) - bool(old)
            if count > 0:
                added.append(element)
            elif count < 0:
                deleted.append(element)
        return Changes(sorted(deleted), sorted(added))


def build(frontends: Iterable[Frontend]) -> Ruleset:
    """What these frontends need."""
    return frozenset(element for frontend in frontends for element in _elements(frontend))


def pack(ruleset: Ruleset) -> str:
    """In a tenth of the memory, for keeping."""
    return "\n".join(["\t".join(element) for element in ruleset])


def unpack(packed: str) -> list[Element]:
    return [Element(*line.split("\t")) for line in packed.split("\n")] if packed else []


def _elements(frontend: Frontend) -> Iterator[Element]:
    family, name = frontend.family, frontend.name
    if not frontend.address:
        (endpoint,) = frontend.endpoints
        yield Element(
            f"host-port{family}", f"{frontend.protocol} . {frontend.port}", f"{endpoint.address} . {endpoint.port}"
        )
        yield from _hairpin(frontend)
        return
    if frontend.sources:
        yield Element(f"guarded{family}", name)
        for network in frontend.sources:
            yield Element(f"admitted{family}", f"{network} . {name}")
    if not frontend.endpoints:
        if frontend.is_dropped:
            yield Element(f"service{family}", name, "drop")
        else:
            yield Element(f"refused{family}", name)
        return
    way = "stick" if frontend.affinity_seconds else "pick"
    inside = f"goto {way}{family}-{len(frontend.endpoints)}"
    yield from _numbered(f"endpoint{family}", name, frontend.endpoints)
    if frontend.outside is None:
        yield Element(f"service{family}", name, inside)
    else:
        yield Element(f"service{family}", name, f"goto two-ways{family}")
        yield Element(f"inside{family}", name, inside)
        count = len(frontend.outside)
        yield Element(f"outside{family}", name, f"goto {way}-outside{family}-{count}" if count else "drop")
        yield from _numbered(f"outside-endpoint{family}", name, frontend.outside)
    if frontend.is_masqueraded:
        yield Element(f"masquerade{family}", name)
    if frontend.affinity_seconds:
        yield Element(f"sticky{family}", name, f"jump remember{family}-{frontend.affinity_seconds}")
    yield from _hairpin(frontend)


def _numbered(name: str, frontend: str, endpoints: Iterable[Endpoint]) -> Iterator[Element]:
    for number, (address, port, _) in enumerate(endpoints):
        yield Element(name, f"0:{number:x} . {frontend}", f"{address} . {port}")


def _hairpin(frontend: Frontend) -> Iterator[Element]:
    """An endpoint on this node that calls itself would answer itself directly."""
    for endpoint in {*frontend.endpoints, *(frontend.outside or ())}:
        if endpoint.is_local:
            yield Element(f"hairpin{frontend.family}", f"{endpoint.address} . {endpoint.address}")
