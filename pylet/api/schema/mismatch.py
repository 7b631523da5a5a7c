"""What a value of the wrong type is told as: the words of Go's encoding/json."""

from __future__ import annotations

from typing import Any

_GO_INTEGERS = ("int32", "int64")
_JSON_WORDS = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


class Mismatch(ValueError):
    """Go's UnmarshalTypeError; `struct` and `fields`, the way to the value, are filled while unwinding.

    `go_kind` is what the type is made of, as its reflection calls it: "string" of any type of strings.
    `is_own`: said by a Go type that decodes itself, which other decoders than JSON's repeat without the place.
    """

    def __init__(self, value: Any, go_type: str, go_kind: str = "", *, is_own: bool = False) -> None:
        super().__init__(value, go_type)
        told = value.__class__ in (int, float) and go_type in _GO_INTEGERS
        self.is_own = is_own
        self.value = f"number {value}" if told else _JSON_WORDS[type(value)]
        self.go_type = go_type
        self.go_kind = go_kind
        self.struct = ""
        self.fields: list[str] = []

    def __str__(self) -> str:
        where = f"Go struct field {self.struct}.{'.'.join(self.fields)}" if self.struct else "Go value"
        return f"json: cannot unmarshal {self.value} into {where} of type {self.go_type}"
