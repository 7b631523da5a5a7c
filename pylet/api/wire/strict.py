"""What strict decoding finds in a text, in the order upstream tells it: fields written twice, and unknown ones.

Sources: sigs.k8s.io/json, apimachinery pkg/runtime/serializer/json, apiextensions-apiserver pkg/apiserver
(schemaCoercingDecoder).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any


def twice(raw: bytes) -> list[str]:
    """What is told of fields that JSON has twice, each as often as that."""
    return list(_told(_pairs(raw), "", ()))


def unknown(paths: Sequence[str]) -> list[str]:
    return [f'unknown field "{path}"' for path in paths]


def in_order(paths: Collection[str], raw: bytes) -> list[str]:
    """What a decoder comes upon that does not know these `paths`, of which it reads no more, and knows all others."""
    told = list(_told(_pairs(raw), "", frozenset(paths)))
    return [*told, *(problem for problem in unknown([*paths]) if problem not in told)]


class _Pairs(list[tuple[str, Any]]):
    """An object as written."""


def _pairs(raw: bytes) -> Any:
    return json.loads(raw.decode(errors="replace"), object_pairs_hook=_Pairs)


def _told(value: Any, path: str, strange: Collection[str]) -> Iterator[str]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for name, inner in value:
            where = f"{path}.{name}" if path else name
            if where in strange:
                if name not in seen:
                    yield f'unknown field "{where}"'
            else:
                if name in seen:
                    yield f'duplicate field "{where}"'
                yield from _told(inner, where, strange)
            seen.add(name)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _told(inner, f"{path}[{position}]", strange)
