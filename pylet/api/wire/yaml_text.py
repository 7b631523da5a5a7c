"""JSON as YAML."""

from __future__ import annotations

from typing import Any


def as_yaml(value: Any) -> bytes:
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, default_flow_style=False, sort_keys=True, allow_unicode=True)
    return text.encode()
