"""The messages of Kubernetes' protobuf, out of messages.txt: parsed one by one, when first read or written."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIRE_TYPES = {"i": VARINT, "b": VARINT, "d": FIXED64}
"""How a scalar's letter goes over the wire; what is not here is length-delimited."""


class Field(NamedTuple):
    number: int
    name: str
    shape: str
    """"" one value, "*" a list, "%" a map, "<" inlined."""
    type: str

    @property
    def wire_type(self) -> int:
        return BYTES if self.shape in ("*", "%") and self.type not in WIRE_TYPES else WIRE_TYPES.get(self.type, BYTES)


def message_name(definition: str) -> str:
    """`io.k8s.api.core.v1.Pod` is the message core.v1.Pod."""
    return ".".join(definition.rsplit(".", 3)[-3:])


def has_message(definition: str) -> bool:
    """Whether this definition has a protobuf form; custom resources have none."""
    return message_name(definition) in _lines()


@cache
def fields_of(message: str) -> tuple[Field, ...]:
    """Raises: KeyError."""
    return tuple(map(_field, _lines()[message].split()))


def is_wrapper(fields: tuple[Field, ...]) -> bool:
    """Whether it stands for a Go type that is a list: a message of its own, which JSON does not show."""
    return len(fields) == 1 and fields[0].name == "items" and fields[0].shape == "*" and fields[0].type == "s"


@cache
def _lines() -> dict[str, str]:
    text = (Path(__file__).parent / "messages.txt").read_text()
    return {name: fields for name, _, fields in (line.partition(" ") for line in text.splitlines()) if name != "#"}


def _field(text: str) -> Field:
    number, name, type_ = text.split(":")
    shape = type_[0] if type_[0] in "*%<" else ""
    return Field(int(number), name, shape, type_[len(shape) :])
