"""The build hook gives back the definitions as Kubernetes published them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pylet.version import KUBERNETES


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", Path(__file__).parents[2] / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_alterations_are_undone(hook: ModuleType) -> None:
    altered = {
        "description": "A thing.",
        "type": ["object", "null"],
        "properties": {
            "kind": {"type": ["string", "null"], "enum": ["Thing"]},
            "description": {"type": ["string", "null"], "description": "A field of that name stays."},
            "spec": {"$ref": "#/$defs/io.k8s.Spec", "description": "x"},
            "list": {"type": ["array", "null"], "items": {"type": ["string", "null"]}},
        },
    }
    assert hook.restore(altered) == {
        "type": "object",
        "properties": {
            "kind": {"type": "string"},
            "description": {"type": "string"},
            "spec": {"$ref": "#/definitions/io.k8s.Spec"},
            "list": {"type": "array", "items": {"type": "string"}},
        },
    }


def test_one_line_says_which_kubernetes(hook: ModuleType) -> None:
    assert KUBERNETES.startswith(hook.kubernetes_minor() + ".")


def test_every_go_type_belongs_to_a_definition(hook: ModuleType) -> None:
    from pylet.api.schema.definitions import definition

    for name, fields in hook.go_encodings().items():
        properties = definition(name)["properties"]
        for field in fields.split():
            assert field.partition(":")[0].rstrip("*!{?&0") in properties, (name, field)
