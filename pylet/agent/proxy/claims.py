"""Who answers where several may ask: external addresses and host ports go to who asked first, until he gives them up.

Pure. The API lets two services have the same load-balancer address, or a pod the port of a node port.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from pylet.agent.proxy.model import Frontend
from pylet.api.object import Key

Owner: TypeAlias = tuple[str, Key]
"""The kind, Service or Pod, and the key of what wants a frontend."""


class Claims:
    def __init__(self) -> None:
        self._claimants: dict[str, list[Owner]] = {}
        self._of: dict[Owner, frozenset[str]] = {}

    def grant(self, owner: Owner, frontends: Iterable[Frontend]) -> tuple[list[Frontend], set[Owner]]:
        """Those of all its frontends that the owner has, and the others whose turn it is now."""
        frontends = list(frontends)
        wanted = frozenset(_place(frontend) for frontend in frontends if frontend.is_contested)
        before = self._of.get(owner, frozenset())
        promoted = {heir for place in before - wanted if (heir := self._leave(place, owner))}
        for place in wanted - before:
            self._claimants.setdefault(place, []).append(owner)
        if wanted:
            self._of[owner] = wanted
        else:
            self._of.pop(owner, None)
        return [one for one in frontends if not one.is_contested or self._claimants[_place(one)][0] == owner], promoted

    def _leave(self, place: str, owner: Owner) -> Owner | None:
        claimants = self._claimants[place]
        was_first = claimants[0] == owner
        claimants.remove(owner)
        if not claimants:
            del self._claimants[place]
        return claimants[0] if was_first and claimants else None


def _place(frontend: Frontend) -> str:
    return f"{frontend.family} {frontend.name}"
