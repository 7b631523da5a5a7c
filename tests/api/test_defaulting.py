"""Defaulting against golden files: each document in `golden/defaults/*.yaml` becomes the one after it."""

from pathlib import Path

import pytest
import yaml

from pylet.api import kinds, schema

GOLDEN = Path(__file__).parent / "golden" / "defaults"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_defaults(path: Path) -> None:
    written, expected = yaml.safe_load_all(path.read_text())
    group, _, version = written["apiVersion"].rpartition("/")
    kind = kinds.by_kind(group, version, written["kind"])
    assert kind is not None
    for _ in range(2):  # what was defaulted stays as it is
        assert schema.of(kind.definition).decode(written) == []
        schema.default(kind.definition, written)
        assert written == expected
