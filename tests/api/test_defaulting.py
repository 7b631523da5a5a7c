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


def test_what_is_as_it_was_is_not_filled_again_but_what_changed_is() -> None:
    service = kinds.by_kind("", "v1", "Service")
    assert service is not None
    old = {"spec": {"ports": [{"port": 80}]}, "status": {}}
    schema.default_kind(service, old)
    new = {"spec": {"ports": [{"port": 80}, {"port": 81}]}}
    schema.default_kind(service, new, old)
    assert new["spec"]["ports"][1] == {"port": 81, "protocol": "TCP", "targetPort": 81}
    assert new["status"] == old["status"]
    same = {"spec": old["spec"]}
    schema.default_kind(service, same, old)
    assert same == old
