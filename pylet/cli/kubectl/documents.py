"""Objects as JSON and YAML text, byte for byte as kubectl writes them: keys sorted, Go's escapes and quoting."""

from __future__ import annotations

import json
import re
from typing import Any

from pylet.api.object import Object

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def to_json(value: Any) -> str:
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False).translate(_HTML) + "\n"


def to_compact_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).translate(_HTML)


def to_text(value: Any) -> str:
    """A value as jsonpath and tables print it."""
    match value:
        case dict() | list():
            return to_compact_json(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
    return str(value)


# What go-yaml v2 reads as something other than a string, and therefore quotes.
_NOT_STRING = re.compile(
    r"""y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF
    |~|null|Null|NULL|<<|
    |[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)
    |[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?
      (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)?""",
    re.VERBOSE,
)


_PLAIN = "tag:yaml.org,2002:str"


def to_yaml(value: Any) -> str:
    import yaml

    class Dumper(yaml.CSafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.CSafeDumper, data: str) -> yaml.ScalarNode:
        style = "|" if "\n" in data else ('"' if _NOT_STRING.fullmatch(data) else None)
        return dumper.represent_scalar(_PLAIN, data, style)

    def literal(dumper: yaml.CSafeDumper, data: object) -> yaml.ScalarNode:
        return dumper.represent_scalar(_PLAIN, f"{data:g}" if isinstance(data, float) else json.dumps(data))

    # Every scalar is a string to the emitter and nothing resolves to another tag: only the regex decides on quotes.
    Dumper.yaml_implicit_resolvers = {}
    Dumper.add_representer(str, text)
    for type_ in (int, float, bool, type(None)):
        Dumper.add_representer(type_, literal)
    return yaml.dump(value, Dumper=Dumper, sort_keys=True, allow_unicode=True, default_flow_style=False, width=80)


def without_managed_fields(obj: Object) -> Object:
    """The object as `-o json|yaml` shows it without --show-managed-fields."""
    if obj.get("kind", "").endswith("List") and isinstance(obj.get("items"), list):
        return {**obj, "items": [without_managed_fields(item) for item in obj["items"]]}
    meta = obj.get("metadata")
    if isinstance(meta, dict) and "managedFields" in meta:
        return {**obj, "metadata": {k: v for k, v in meta.items() if k != "managedFields"}}
    return obj


def as_list(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}


def annotated(obj: Object) -> Object:
    """The manifest with itself as the annotation that the next apply compares with."""
    meta = dict(obj["metadata"])
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k != LAST_APPLIED}
    bare = {**obj, "metadata": {**meta, "annotations": annotations}}
    annotation = to_compact_json(bare) + "\n"
    return {**obj, "metadata": {**meta, "annotations": {**annotations, LAST_APPLIED: annotation}}}
