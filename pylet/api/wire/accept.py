"""What an Accept header asks for, best first. Pure. Source: RFC 9110 section 12.5.1."""

from __future__ import annotations

from typing import NamedTuple


class Clause(NamedTuple):
    """One entry of an Accept header."""

    type: str
    quality: float
    params: dict[str, str]

    def matches(self, type_: str) -> bool:
        return self.type in (type_, "*/*") or (self.type.endswith("/*") and type_.startswith(self.type[:-1]))


def clauses(header: str) -> list[Clause]:
    """An Accept header's entries, best first; an empty header takes anything."""
    found: list[Clause] = []
    for part in (header or "*/*").split(","):
        type_, *pairs = (piece.strip() for piece in part.split(";"))
        params = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        try:
            quality = float(params.pop("q", 1))
        except ValueError:
            quality = 1.0
        if type_:
            found.append(Clause(type_.lower(), quality, params))
    # Sorted is stable: the client's order decides between equals. A wildcard is worth less than a name.
    return sorted(found, key=lambda clause: (-clause.quality, clause.type.count("*")))
