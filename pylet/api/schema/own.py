"""Values that decode themselves (times, quantities, what is int or string), where another value has the wrong type.

Go tells of a wrong type when all is decoded, and at once of what cannot decode itself: so that comes first, wherever
it stands. Source: encoding/json decode.go, saveError.
"""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object
from pylet.api.schema.mismatch import Mismatch
from pylet.api.schema.node import IntOrString, List, Map, Node, Ref, Struct, Text


def decode(struct: Struct, obj: Object) -> None:
    """Raises: ValueError, for the first that cannot be decoded."""
    for name, value in obj.items():
        node = struct.child(name)
        if value is not None and node is not None:
            try:
                _decode(node, value)
            except Mismatch as mismatch:
                mismatch.fields.insert(0, name)
                mismatch.struct = mismatch.struct or struct.go_name
                raise


def _decode(node: Node, value: Any) -> None:
    inner: Any = ()
    match node:
        case Text() | IntOrString():
            node.decode(value, [])
        case Ref() if isinstance(value, dict):
            decode(node.struct, value)
        case List() if isinstance(value, list):
            inner = value
        case Map() if isinstance(value, dict):
            inner = value.values()
    if node.items is not None:
        for entry in inner:
            if entry is not None:
                _decode(node.items, entry)
