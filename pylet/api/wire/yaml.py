"""YAML as JSON: what sigs.k8s.io/yaml accepts, bounded in depth, aliases and size.

Imported only when somebody sends YAML. Duplicate keys are reported, not refused: the caller decides.
"""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import yaml

from pylet.api.errors import BadRequest

_MOST_DEPTH: Final = 500
_MOST_NODES: Final = 100_000  # a 3 MB document of short scalars; an alias counts as often as it is used
_TAG: Final = "tag:yaml.org,2002:"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(raw: bytes) -> tuple[Any, list[str]]:
    """The first document as JSON values, and the paths of keys written twice. Raises: BadRequest."""
    try:
        loader = _Loader(raw)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, []
            reader = _Reader(loader)
            return reader.value(node, "", 0), reader.duplicates
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as bad:
        line = f"line {bad.problem_mark.line + 1}: " if bad.problem_mark else ""
        raise BadRequest(f"error converting YAML to JSON: yaml: {line}{bad.problem}") from bad
    except (yaml.YAMLError, ValueError, RecursionError) as bad:
        raise BadRequest(f"error converting YAML to JSON: yaml: {bad}") from bad


class _Reader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._nodes = 0
        self.duplicates: list[str] = []

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise ValueError("document contains excessive aliasing")
        if depth > _MOST_DEPTH:
            raise ValueError(f"exceeded max depth of {_MOST_DEPTH}")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, f"{path}[{at}]", depth + 1) for at, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        if any(key.tag == _TAG + "merge" for key, _ in node.value):
            self._loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise ValueError(f"line {key_node.start_mark.line + 1}: invalid map key")
            # As in Go, keys that are no strings become their JSON spelling.
            key = key_node.value if key_node.tag == _TAG + "str" else _spelled(self._scalar(key_node))
            where = f"{path}.{key}" if path else key
            if key in found:
                self.duplicates.append(where)
            found[key] = self.value(value_node, where, depth + 1)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return self._loader.construct_yaml_bool(node)
            case "int":
                return self._loader.construct_yaml_int(node)
            case "float":
                number = self._loader.construct_yaml_float(node)
                if not math.isfinite(number):
                    raise ValueError(f"line {node.start_mark.line + 1}: unsupported value: {text}")
                return number
            case "binary":
                return base64.b64decode(text).decode("latin-1")
        return text


def _spelled(key: Any) -> str:
    return str(key).lower() if key is True or key is False else "null" if key is None else str(key)
