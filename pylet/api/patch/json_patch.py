"""JSON Patch (RFC 6902), with the limits and the leniences of the library kube-apiserver uses (evanphx/json-patch).

`remove` of an absent path fails, `add` to an absent parent fails, indices may be negative; `replace` and `copy` take an
absent field for null, and what stands before a path's first slash is not looked at. What fails is told in its words.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import orjson

from pylet.api.object import Object
from pylet.api.patch import BadPatch, TooLarge, Unprocessable, json_word

_MOST_OPERATIONS = 10_000
_MOST_COPIED_BYTES = 3 << 20  # upstream bounds what `copy` may multiply to
_DECODING = "error decoding patch: json: cannot unmarshal {} into Go value of type {}"
_FIELDS = {"op", "path", "from", "value"}
_MISSING = "missing value"
_TOO_DEEP = "couldn't get version/kind; json parse error: exceeded max depth"  # what JSON cannot say afterwards


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
            if not isinstance(operation.get(name), str | None):
                field = f"Go struct field jsonPatchOp.{name} of type string"
                raise BadPatch(
                    f"error decoding patch: json: cannot unmarshal {json_word(operation[name])} into {field}"
                )
        op = operation.get("op")
        perform = _OPERATIONS.get(op)
        if perform is None:
            raise Unprocessable(f"Unexpected kind: {'unknown' if op is None else op}")
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

    def place(self, path: str, otherwise: str) -> tuple[Any, str]:
        """The object or list that `path` leads into, and the key there. Raises: Unprocessable."""
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]
        parent = self.root
        for token in tokens[:-1]:
            if not isinstance(parent, dict | list):
                break
            try:
                parent = _get(parent, token)
            except _Unfit:
                parent = None
        if not tokens or not isinstance(parent, dict | list):
            raise Unprocessable(f"{otherwise}: {_MISSING}")
        return parent, tokens[-1]


class _Unfit(Exception):
    """No such key or index; the message says why."""


def _get(parent: Any, key: str) -> Any:
    """Raises: _Unfit."""
    return parent.get(key) if isinstance(parent, dict) else parent[_index(key, len(parent))]


def _put(parent: Any, key: str, value: Any) -> None:
    """Raises: _Unfit."""
    if isinstance(parent, dict):
        parent[key] = value
    elif key == "-":
        parent.append(value)
    else:
        try:
            int(key)
        except ValueError:
            raise _Unfit(f"value was not a proper array index: '{key}': {_no_number(key)}") from None
        parent.insert(_index(key, len(parent) + 1), value)


def _take(parent: Any, key: str) -> Any:
    """Raises: _Unfit."""
    if isinstance(parent, dict):
        if key not in parent:
            raise _Unfit(f"Unable to remove nonexistent key: {key}: {_MISSING}")
        return parent.pop(key)
    return parent.pop(_index(key, len(parent)))


def _index(key: str, size: int) -> int:
    """Raises: _Unfit."""
    try:
        index = int(key)
    except ValueError:
        raise _Unfit(_no_number(key)) from None
    if not -size <= index < size:
        raise _Unfit(f"Unable to access invalid index: {index}: invalid index referenced")
    return index + size if index < 0 else index


def _no_number(key: str) -> str:
    return f'strconv.Atoi: parsing "{key}": invalid syntax'


def _path(operation: Object, field: str = "path") -> str:
    """Raises: Unprocessable."""
    path = operation.get(field)
    if path is None:
        op = operation["op"]
        comma = ", " if field == "from" else " "
        why = "" if field == "path" and op in ("add", "remove", "copy") else f"operation{comma}missing {field} field: "
        raise Unprocessable(f"{op} operation failed to decode {field}: {why}{_MISSING}")
    return str(path)


def _add(document: _Document, operation: Object) -> None:
    path = _path(operation)
    parent, key = document.place(path, f'add operation does not apply: doc is missing path: "{path}"')
    try:
        _put(parent, key, deepcopy(operation.get("value")))
    except _Unfit as unfit:
        raise Unprocessable(f"error in add for path: '{path}': {unfit}") from unfit


def _remove(document: _Document, operation: Object) -> None:
    path = _path(operation)
    parent, key = document.place(path, f'remove operation does not apply: doc is missing path: "{path}"')
    try:
        _take(parent, key)
    except _Unfit as unfit:
        raise Unprocessable(f"error in remove for path: '{path}': {unfit}") from unfit


def _replace(document: _Document, operation: Object) -> None:
    path, value = _path(operation), deepcopy(operation.get("value"))
    if not path:
        document.root = value
        return
    says = "replace operation does not apply: doc is missing"
    parent, key = document.place(path, f"{says} path: {path}")
    if isinstance(parent, dict):
        parent[key] = value
        return
    try:
        parent[_index(key, len(parent))] = value
    except _Unfit as unfit:
        raise Unprocessable(f"{says} key: {path}: {_MISSING}") from unfit


def _move(document: _Document, operation: Object) -> None:
    source = _path(operation, "from")
    parent, key = document.place(source, f"move operation does not apply: doc is missing from path: {source}")
    try:
        value = _take(parent, key)
    except _Unfit as unfit:
        raise Unprocessable(f"error in move for path: '{key}': {unfit}") from unfit
    path = _path(operation)
    parent, key = document.place(path, f"move operation does not apply: doc is missing destination path: {path}")
    try:
        _put(parent, key, value)
    except _Unfit as unfit:
        raise Unprocessable(f"error in move for path: '{path}': {unfit}") from unfit


def _copy(document: _Document, operation: Object) -> None:
    source = _path(operation, "from")
    parent, key = document.place(source, f"copy operation does not apply: doc is missing from path: {source}")
    try:
        value = _get(parent, key)
    except _Unfit as unfit:
        raise Unprocessable(f"error in copy for from: '{source}': {unfit}") from unfit
    path = _path(operation)
    parent, key = document.place(path, f"copy operation does not apply: doc is missing destination path: {path}")
    try:
        document.copied_bytes += len(orjson.dumps(value))
    except TypeError as deep:
        raise BadPatch(_TOO_DEEP) from deep
    if document.copied_bytes > _MOST_COPIED_BYTES:
        raise Unprocessable(f"accumulated size of copy operations exceeds {_MOST_COPIED_BYTES} bytes")
    try:
        _put(parent, key, deepcopy(value))
    except _Unfit as unfit:
        raise Unprocessable(f"error while adding value during copy: {unfit}") from unfit


def _test(document: _Document, operation: Object) -> None:
    path = _path(operation)
    found = document.root
    if path:
        parent, key = document.place(path, f"test operation does not apply: is missing path: {path}")
        try:
            found = _get(parent, key)
        except _Unfit as unfit:
            raise Unprocessable(f"error in test for path: '{path}': {unfit}") from unfit
    if not _equal(found, operation.get("value")):
        raise Unprocessable(f"testing value {path} failed: test failed")


_OPERATIONS: dict[Any, Callable[[_Document, Object], None]] = {
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
