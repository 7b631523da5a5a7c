"""JSON Patch (RFC 6902), with the limits and the leniences of the library kube-apiserver uses (evanphx/json-patch).

`remove` of an absent path fails, `add` to an absent parent fails, indices may be negative; `replace` and `copy` take an
absent field for null, and what stands before a path's first slash is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from pylet.api.object import Object
from pylet.api.patch import BadPatch, TooLarge, Unprocessable, json_word

_MOST_OPERATIONS = 10_000
_MOST_COPIED_BYTES = 3 << 20  # upstream bounds what `copy` may multiply to
_DECODING = "error decoding patch: json: cannot unmarshal {} into Go value of type {}"
_FIELDS = {"op", "path", "from", "value"}
_MISSING = object()


def apply(obj: Object, patch: Any) -> Object:
    """Raises: BadPatch, Unprocessable, TooLarge."""
    if not isinstance(patch, list):
        raise BadPatch(_DECODING.format(json_word(patch), "[]handlers.jsonPatchOp"))
    if len(patch) > _MOST_OPERATIONS:
        raise TooLarge(f"The allowed maximum operations in a JSON patch is {_MOST_OPERATIONS}, got {len(patch)}")
    document = _Document(deepcopy(obj))
    for operation in patch:
        if operation is None:
            raise Unprocessable("Unexpected kind: unknown")
        if not isinstance(operation, dict):
            raise BadPatch(_DECODING.format(json_word(operation), "handlers.jsonPatchOp"))
        for name in ("op", "path", "from"):
            if not isinstance(operation.get(name) or "", str):
                field = f"Go struct field jsonPatchOp.{name} of type string"
                raise BadPatch(
                    f"error decoding patch: json: cannot unmarshal {json_word(operation[name])} into {field}"
                )
        if operation.get("path") is None:
            raise Unprocessable("operation missing path field: missing value")
        perform = _OPERATIONS.get(operation.get("op", ""))
        if perform is None:
            raise Unprocessable(f"Unexpected kind: {operation.get('op')}")
        perform(document, operation)
    if not isinstance(document.root, dict):
        raise Unprocessable("the patch leaves something that is not an object")
    return document.root


def unknown_fields(patch: Any) -> list[str]:
    """The fields of operations that no operation has, as `[0].foo`."""
    operations = patch if isinstance(patch, list) else ()
    return [
        f"[{position}].{name}"
        for position, operation in enumerate(operations)
        if isinstance(operation, dict)
        for name in operation
        if name not in _FIELDS
    ]


class _Document:
    def __init__(self, root: Any) -> None:
        self.root = root
        self.copied_bytes = 0

    def get(self, path: str) -> Any:
        tokens = _tokens(path)
        if not tokens:
            return self.root
        parent = self._parent(tokens, path)
        return parent.get(tokens[-1]) if isinstance(parent, dict) else _member(parent, tokens[-1], path)

    def add(self, path: str, value: Any) -> None:
        tokens = _tokens(path)
        if not tokens:
            raise Unprocessable("add operation does not apply: doc is missing path: missing value")
        try:
            parent = self._parent(tokens, path)
        except Unprocessable as missing:
            raise Unprocessable(
                f'add operation does not apply: doc is missing path: "{path}": missing value'
            ) from missing
        if isinstance(parent, list):
            index = len(parent) if tokens[-1] == "-" else _index(tokens[-1], len(parent) + 1, path)
            parent.insert(index, value)
        else:
            parent[tokens[-1]] = value

    def remove(self, path: str) -> Any:
        tokens = _tokens(path)
        if not tokens:
            raise Unprocessable("remove operation does not apply: the whole document cannot be removed")
        try:
            parent = self._parent(tokens, path)
        except Unprocessable as missing:
            says = f'remove operation does not apply: doc is missing path: "{path}": missing value'
            raise Unprocessable(says) from missing
        if isinstance(parent, dict) and tokens[-1] not in parent:
            says = f"Unable to remove nonexistent key: {tokens[-1]}: missing value"
            raise Unprocessable(f"error in remove for path: '{path}': {says}")
        _member(parent, tokens[-1], path)
        if isinstance(parent, list):
            return parent.pop(_index(tokens[-1], len(parent), path))
        return parent.pop(tokens[-1])

    def replace(self, path: str, value: Any) -> None:
        tokens = _tokens(path)
        if not tokens:
            self.root = value
            return
        parent = self._parent(tokens, path)
        if isinstance(parent, list):
            parent[_index(tokens[-1], len(parent), path)] = value
        else:
            parent[tokens[-1]] = value

    def _parent(self, tokens: list[str], path: str) -> Any:
        parent = self.root
        for token in tokens[:-1]:
            parent = _member(parent, token, path)
        if not isinstance(parent, dict | list):
            raise Unprocessable(f"{path}: doc is missing path: missing value")
        return parent


def _add(document: _Document, operation: Object) -> None:
    document.add(operation["path"], deepcopy(operation.get("value")))


def _remove(document: _Document, operation: Object) -> None:
    document.remove(operation["path"])


def _replace(document: _Document, operation: Object) -> None:
    document.replace(operation["path"], deepcopy(operation.get("value")))


def _move(document: _Document, operation: Object) -> None:
    document.add(operation["path"], document.remove(_source(operation)))


def _copy(document: _Document, operation: Object) -> None:
    source = _source(operation)
    if not source:
        raise Unprocessable("copy operation does not apply: doc is missing from path: missing value")
    value = document.get(source)
    document.copied_bytes += len(repr(value))
    if document.copied_bytes > _MOST_COPIED_BYTES:
        raise Unprocessable(f"accumulated size of copy operations exceeds {_MOST_COPIED_BYTES} bytes")
    document.add(operation["path"], deepcopy(value))


def _test(document: _Document, operation: Object) -> None:
    try:
        found = document.get(operation["path"])
    except Unprocessable:
        found = None
    if not _equal(found, operation.get("value")):
        raise Unprocessable(f"testing value {operation['path']} failed: test failed")


_OPERATIONS: dict[str, Callable[[_Document, Object], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _equal(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1, which Python thinks it is."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _source(operation: Object) -> str:
    source = operation.get("from")
    if not isinstance(source, str):
        raise Unprocessable("operation, missing from field: missing value")
    return source


def _tokens(path: str) -> list[str]:
    if not path:
        return []
    if "/" not in path:
        raise Unprocessable(f"{path}: doc is missing path: missing value")
    return [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]


def _member(parent: Any, token: str, path: str) -> Any:
    if isinstance(parent, dict):
        value = parent.get(token, _MISSING)
        if value is not _MISSING:
            return value
    elif isinstance(parent, list):
        return parent[_index(token, len(parent), path)]
    raise Unprocessable(f"{path}: doc is missing key: {token}: missing value")


def _index(token: str, size: int, path: str) -> int:
    try:
        index = int(token)
    except ValueError:
        raise Unprocessable(f"{path}: value was not a proper array index: {token!r}") from None
    if not -size <= index < size:
        raise Unprocessable(f"{path}: Unable to access invalid index: {index}: invalid index referenced")
    return index + size if index < 0 else index
