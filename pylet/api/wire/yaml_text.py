"""JSON as YAML, written as it is read: a tree of PyYAML's nodes would take seventy times what the object does."""

from __future__ import annotations

import io
from typing import Any, Final

_TAG: Final = "tag:yaml.org,2002:"


def as_yaml(value: Any) -> bytes:
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    stream = io.BytesIO()
    writer = _Writer(dumper(stream, allow_unicode=True, encoding="utf-8"))
    writer.document(value)
    return stream.getvalue()


class _Writer:
    def __init__(self, dumper: Any) -> None:
        import yaml

        self._yaml = yaml
        self._dumper = dumper
        self._emit = dumper.emit

    def document(self, value: Any) -> None:
        yaml = self._yaml
        self._emit(yaml.StreamStartEvent(encoding="utf-8"))
        self._emit(yaml.DocumentStartEvent(explicit=False))
        self._value(value)
        self._emit(yaml.DocumentEndEvent(explicit=False))
        self._emit(yaml.StreamEndEvent())
        self._dumper.dispose()

    def _value(self, value: Any) -> None:
        yaml = self._yaml
        if isinstance(value, dict):
            self._emit(yaml.MappingStartEvent(None, None, True, flow_style=not value))
            for name in sorted(value):
                self._scalar(name)
                self._value(value[name])
            self._emit(yaml.MappingEndEvent())
        elif isinstance(value, list):
            self._emit(yaml.SequenceStartEvent(None, None, True, flow_style=not value))
            for item in value:
                self._value(item)
            self._emit(yaml.SequenceEndEvent())
        else:
            self._scalar(value)

    def _scalar(self, value: Any) -> None:
        if isinstance(value, str):
            text, is_plain = value, self._dumper.resolve(self._yaml.ScalarNode, value, (True, False)) == f"{_TAG}str"
        else:
            text, is_plain = self._dumper.represent_data(value).value, True
        self._emit(self._yaml.ScalarEvent(None, None, (is_plain, isinstance(value, str)), text))
