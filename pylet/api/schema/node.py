"""The compiled schema (see compiled.py): a Struct for each definition, a Node for each field; checking and walking.

`Struct.decode` treats an object as Go's JSON decoder and encoder together would: unknown fields go (and are reported),
nulls and zero values that Go omits go, times and quantities take their one spelling, a wrong type is the one error. It
runs on every write of every object, so one pass does all of it, problems are reported as relative paths that callers
prefix while unwinding, and fields of the two commonest types are checked without a call.

Sources: sigs.k8s.io/json (strict decoding), encoding/json (paths), go_types.txt here.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pylet.api.object import Object
from pylet.api.quantity import canonical_milli
from pylet.api.schema import emptied
from pylet.api.schema.mismatch import Mismatch

Check: TypeAlias = "Node | type"
_DROP: Final = object()
_EMPTIES: Final = (list, dict)
_GO_TIMES = ("v1.Time", "v1.MicroTime")


class Node:
    """One field, list item or map value: its type, and what patches must know of it.

    `merge_key`, `patch_strategy`, `list_type`, `map_keys`, `map_type` carry the x-kubernetes-* words, "" or () when
    absent. A Node of an untyped value (RawExtension, FieldsV1) has no children.
    """

    __slots__ = ("go_type", "keeps_zero", "list_type", "map_keys", "map_type", "merge_key", "patch_strategy")

    def __init__(self, go_type: str = "", *, keeps_zero: bool = True) -> None:
        self.go_type = go_type
        self.keeps_zero = keeps_zero
        self.merge_key = ""
        self.patch_strategy: tuple[str, ...] = ()
        self.list_type = ""
        self.map_keys: tuple[str, ...] = ()
        self.map_type = ""

    @property
    def go_kind(self) -> str:
        """What the type is made of, as Go's reflection calls it."""
        return "struct"

    @property
    def items(self) -> Node | None:
        """The schema of a list's items or a map's values."""
        return None

    def child(self, name: str) -> Node | None:
        """The schema of one field of an object; None for an unknown one."""
        return None

    def decode(self, value: Any, unknown: list[str]) -> Any:
        """The canonical form of `value` (often `value` itself, changed in place), or `_DROP` for a zero Go omits."""
        return value


class Scalar(Node):
    __slots__ = ("type",)

    def __init__(self, type_: type, go_type: str, *, keeps_zero: bool) -> None:
        super().__init__(go_type, keeps_zero=keeps_zero)
        self.type = type_

    @property
    def go_kind(self) -> str:
        return "bool" if self.type is bool else "string"

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is not self.type:
            raise Mismatch(value, self.go_type, self.go_kind)
        return value if value or self.keeps_zero else _DROP


class Integer(Node):
    __slots__ = ("bound",)

    def __init__(self, go_type: str, *, keeps_zero: bool) -> None:
        super().__init__(go_type, keeps_zero=keeps_zero)
        self.bound = 1 << (31 if go_type == "int32" else 63)

    @property
    def go_kind(self) -> str:
        return f"int{self.bound.bit_length()}"

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is float and value.is_integer():
            value = int(value)
        if value.__class__ is not int or not -self.bound <= value < self.bound:
            raise Mismatch(value, self.go_type, self.go_kind)
        return value if value or self.keeps_zero else _DROP


class Number(Node):
    __slots__ = ()

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is not int and value.__class__ is not float:
            raise Mismatch(value, self.go_type, "float64")
        return value if value or self.keeps_zero else _DROP


class Text(Node):
    """A string of its own spelling: a quantity, a time. `canonical` raises ValueError with Go's message."""

    __slots__ = ("canonical",)

    def __init__(self, go_type: str, canonical: Callable[[Any], str]) -> None:
        super().__init__(go_type)
        self.canonical = canonical

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is not str and self.go_type in _GO_TIMES:
            raise Mismatch(value, "string", is_own=True)
        return self.canonical(value)


class IntOrString(Node):
    __slots__ = ()

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is not str and (value.__class__ is not int or not -(1 << 31) <= value < 1 << 31):
            raise Mismatch(value, "int32", is_own=True)
        return value


class Bytes(Node):
    """[]byte, which JSON carries as base64."""

    __slots__ = ()

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is not str:
            raise Mismatch(value, "[]uint8", "slice")
        try:
            binascii.a2b_base64(value.replace("\n", "").replace("\r", ""), strict_mode=True)
        except ValueError as bad:
            raise ValueError(f"illegal base64 data at input byte {_bad_base64(value)}") from bad
        return value if value or self.keeps_zero else _DROP


def _bad_base64(text: str) -> int:
    """The offset Go's decoder would name: the first byte that is no base64, else the text's last full quantum."""
    for offset, char in enumerate(text):
        if not (char.isalnum() and char.isascii()) and char not in "+/\r\n" and not (char == "=" and offset % 4 >= 2):
            return offset
    return len(text) - len(text) % 4


class List(Node):
    __slots__ = ("item", "item_type")

    def __init__(self, item: Check, item_type: str = "", *, keeps_zero: bool) -> None:
        self.item_type = item_type or _go_name(item)
        super().__init__("[]" + self.item_type, keeps_zero=keeps_zero)
        self.item = item

    @property
    def items(self) -> Node | None:
        return _node(self.item)

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is not list:
            raise Mismatch(value, self.go_type, "slice")
        if not value and not self.keeps_zero:
            return _DROP
        item = self.item
        if item.__class__ is type:
            for position, entry in enumerate(value):
                if entry.__class__ is not item:
                    if entry is not None:
                        raise Mismatch(entry, self.item_type, _node(item).go_kind)
                    value[position] = item()
            return value
        decode = _node(item).decode
        before = len(unknown)
        for position, entry in enumerate(value):
            if entry is None:
                entry = value[position] = {}
            decoded = decode(entry, unknown)
            if decoded is not entry:
                value[position] = decoded
            if len(unknown) != before:
                unknown[before:] = [f"[{position}].{path}" for path in unknown[before:]]
                before = len(unknown)
        return value


class Map(Node):
    __slots__ = ("item",)

    def __init__(self, item: Check, *, keeps_zero: bool) -> None:
        go_type = f"map[string]{_go_name(item)}"
        if go_type == "map[string]resource.Quantity":
            # Amounts in a ResourceList round up to thousandths: SetDefaults_ResourceList.
            go_type, item = "v1.ResourceList", Text("resource.Quantity", canonical_milli)
        super().__init__(go_type, keeps_zero=keeps_zero)
        self.item = item

    @property
    def items(self) -> Node | None:
        return _node(self.item)

    def child(self, name: str) -> Node | None:
        return _node(self.item)

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is not dict:
            raise Mismatch(value, self.go_type, "map")
        if not value and not self.keeps_zero:
            return _DROP
        item = self.item
        if item is str:
            for name, entry in value.items():
                if entry.__class__ is not str:
                    if entry is not None:
                        raise Mismatch(entry, "string", "string")
                    value[name] = ""
            return value
        node = _node(item)
        before = len(unknown)
        for name, entry in value.items():
            if entry is None:
                if not isinstance(node, Ref):
                    value[name] = "0" if isinstance(node, Text) else ""
                    continue
                entry = value[name] = {}
            decoded = node.decode(entry, unknown)
            if decoded is not entry:
                value[name] = decoded
            if len(unknown) != before:
                unknown[before:] = [f"{name}.{path}" for path in unknown[before:]]
                before = len(unknown)
        return value


class Any_(Node):  # noqa: N801 - `Any` is taken
    """JSON of any shape that Kubernetes does not look into."""

    __slots__ = ()


class Either(Any_):
    """JSON of several shapes, those of `shapes` made canonical: Go decodes them apart, and reports nothing unknown."""

    __slots__ = ("_shapes",)

    def __init__(self, go_type: str, shapes: Mapping[type, Node]) -> None:
        super().__init__(go_type)
        self._shapes = shapes

    def decode(self, value: Any, unknown: list[str]) -> Any:
        node = self._shapes.get(value.__class__)
        if node is None and value.__class__ is not bool and self.go_type.endswith("OrBool"):
            raise ValueError("boolean or JSON schema expected")
        return value if node is None else node.decode(value, [])


class Ref(Node):
    """A field that holds another definition; compiled when first needed, since definitions are recursive."""

    __slots__ = ("_load", "_struct", "definition")

    def __init__(self, name: str, load: Callable[[str], Struct]) -> None:
        super().__init__(go_type_of(name))
        self.definition = name
        self._load = load
        self._struct: Struct | None = None

    @property
    def struct(self) -> Struct:
        struct = self._struct
        if struct is None:
            struct = self._struct = self._load(self.definition)
        return struct

    def child(self, name: str) -> Node | None:
        return self.struct.child(name)

    def decode(self, value: Any, unknown: list[str]) -> Any:
        if value.__class__ is not dict:
            raise Mismatch(value, self.go_type, "struct")
        struct = self._struct
        (self.struct if struct is None else struct).decode_into(value, unknown)
        return value


class Struct:
    """One definition. `fields` maps a field's name to `str` or `bool`, or to a Node when there is more to say.

    `embedded` has the Go structs that fields are really of, where they are embedded in this one: messages name them.
    """

    __slots__ = ("always", "embedded", "fields", "go_name", "keeps_zero", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.go_name = name.rpartition(".")[2]
        self.fields: dict[str, Check] = {}
        self.embedded: dict[str, str] = {}
        self.keeps_zero: frozenset[str] = frozenset()
        self.always: tuple[tuple[str, Any], ...] = ()

    def decode(self, obj: Object) -> list[str]:
        """Make `obj` canonical in place; answers the unknown fields it lost, as in `spec.containers[0].foo`.

        Raises: Mismatch or another ValueError, with Go's message, for the first value that cannot be decoded.
        """
        unknown: list[str] = []
        emptied.forget()
        try:
            self.decode_into(obj, unknown)
        except Mismatch as mismatch:
            if not mismatch.is_own:
                from pylet.api.schema import own

                own.decode(self, obj)
            raise
        except RecursionError as deep:
            raise ValueError("exceeded max depth") from deep
        return unknown

    def decode_into(self, obj: Object, unknown: list[str]) -> None:
        fields = self.fields
        drops: list[str] | None = None
        name = ""
        try:
            for name, value in obj.items():
                check = fields.get(name)
                if check is value.__class__:
                    if value or name in self.keeps_zero:
                        continue
                elif check is None:
                    unknown.append(name)
                elif value is None:
                    pass
                elif check.__class__ is type:
                    raise Mismatch(value, _go_name(check), _node(check).go_kind)
                else:
                    before = len(unknown)
                    decoded = check.decode(value, unknown)  # type: ignore[union-attr]
                    if len(unknown) != before:
                        unknown[before:] = [name + p if p[:1] == "[" else f"{name}.{p}" for p in unknown[before:]]
                    if decoded is value:
                        continue
                    if decoded is not _DROP:
                        obj[name] = decoded
                        continue
                if drops is None:
                    drops = [name]
                else:
                    drops.append(name)
        except Mismatch as mismatch:
            mismatch.fields.insert(0, name)
            if name in self.embedded:
                mismatch.fields.insert(0, self.embedded[name])
            mismatch.struct = mismatch.struct or self.go_name
            raise
        if drops is not None:
            for name in drops:
                value = obj.pop(name)
                if value.__class__ in _EMPTIES and not value:
                    emptied.note(obj, name, value, is_printed=name in self.keeps_zero)

    def child(self, name: str) -> Node | None:
        check = self.fields.get(name)
        return None if check is None else _node(check)


_STRING = Scalar(str, "string", keeps_zero=True)
_BOOL = Scalar(bool, "bool", keeps_zero=True)


def _node(check: Check) -> Node:
    if isinstance(check, Node):
        return check
    return _STRING if check is str else _BOOL


def _go_name(check: Check) -> str:
    return _node(check).go_type


def go_type_of(name: str) -> str:
    """`io.k8s.api.core.v1.Container` is Go's `v1.Container`."""
    return ".".join(name.rsplit(".", 2)[1:])
