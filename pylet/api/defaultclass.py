"""Which of several classes is the default. Pure.

Source: pkg/volume/util/storageclass.go (GetDefaultClass), plugin/pkg/admission/network/defaultingressclass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pylet.api.object import Object


def newest(classes: Iterable[Object], is_default: Callable[[Object], bool]) -> Object | None:
    """The newest of the classes marked as default, of several the first by name; None where none is marked."""
    marked = sorted(filter(is_default, classes), key=lambda found: str(found["metadata"]["name"]))
    return max(marked, key=lambda found: str(found["metadata"].get("creationTimestamp", "")), default=None)
