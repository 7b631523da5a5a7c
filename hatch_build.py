"""Compiles the published Kubernetes definitions into pylet's schema files; a hatchling build hook and a script.

The definitions come with the package `kubernetes-validate`, which alters them for JSON Schema validators (`null` beside
every type, `oneOf` for what is int or string, an `enum` of apiVersion and kind); here they become the published ones
again. Descriptions, two thirds of the whole and wanted by `kubectl explain` alone, have a file of their own. Which
Kubernetes it is says `KUBERNETES` in pylet/version.py, and nothing else.

Run `python hatch_build.py` in a source checkout that was not installed with pip.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script, where hatchling need not be installed
    BuildHookInterface = object

ROOT = Path(__file__).parent
SCHEMA = ROOT / "pylet" / "api" / "schema"
ALTERED = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
}


class SchemaHook(BuildHookInterface):  # type: ignore[misc,valid-type]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_data["artifacts"] += [str(path.relative_to(ROOT)) for path in compile_schema()]


def compile_schema() -> tuple[Path, Path]:
    """Write the definitions and their descriptions and say where."""
    minor = kubernetes_minor()
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise SystemExit("hatch_build: the package kubernetes-validate is missing: pip install kubernetes-validate")
    published = sorted((Path(spec.origin).parent / "kubernetes-json-schema").glob(f"{minor}.*-local/_definitions.json"))
    if not published:
        raise SystemExit(f"hatch_build: the installed kubernetes-validate has no definitions of Kubernetes {minor}")
    definitions = json.loads(published[-1].read_bytes())["$defs"]
    encodings = go_encodings()
    compiled, descriptions = {}, {}
    for name, published_one in definitions.items():
        compiled[name] = ALTERED.get(name) or restore(published_one)
        if name in encodings:
            compiled[name]["x-go"] = encodings[name]
        properties = published_one.get("properties", {})
        texts = {
            field: property_["description"] for field, property_ in properties.items() if "description" in property_
        }
        descriptions[name] = {"": published_one.get("description", ""), **texts}
    return write(f"{minor}.json.gz", compiled), write(f"{minor}.text.json.gz", descriptions)


def write(file: str, entries: dict[str, Any]) -> Path:
    """JSON with one entry on each line, so that one can be read alone; the same input gives the same bytes."""
    rows = [
        f"{json.dumps(name)}:{json.dumps(entries[name], separators=(',', ':'), sort_keys=True)}"
        for name in sorted(entries)
    ]
    target = SCHEMA / file
    target.write_bytes(gzip.compress(("{\n" + ",\n".join(rows) + "\n}\n").encode(), 9, mtime=0))
    return target


def kubernetes_minor() -> str:
    found = re.search(r'^KUBERNETES = "(v\d+\.\d+)', (ROOT / "pylet" / "version.py").read_text(), re.MULTILINE)
    assert found, "pylet/version.py names no KUBERNETES"
    return found[1]


def go_encodings() -> dict[str, str]:
    """What go_types.txt tells of each definition, by the definition's full name."""
    found = {}
    for line in (SCHEMA / "go_types.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, fields = line.partition(" ")
            found[full_name(name)] = fields
    return found


def full_name(name: str) -> str:
    match name.split(".", 1)[0]:
        case "meta":
            return f"io.k8s.apimachinery.pkg.apis.{name}"
        case "apiextensions":
            return f"io.k8s.apiextensions-apiserver.pkg.apis.{name}"
        case "apiregistration":
            return f"io.k8s.kube-aggregator.pkg.apis.{name}"
    return f"io.k8s.api.{name}"


def restore(schema: Any, *, named: bool = False) -> Any:
    """The schema as Kubernetes publishes it; `named` when it is a mapping from property names to schemas."""
    if isinstance(schema, list):
        return [restore(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if named:
        properties = {name: restore(value) for name, value in schema.items()}
        for name in ("apiVersion", "kind"):
            if name in properties:
                properties[name].pop("enum", None)
        return properties
    restored = {}
    for word, value in schema.items():
        if word == "type" and isinstance(value, list):
            restored[word] = value[0]
        elif word == "$ref":
            restored[word] = value.replace("#/$defs/", "#/definitions/")
        elif word != "description":
            restored[word] = restore(value, named=word == "properties")
    return restored


if __name__ == "__main__":
    print(*compile_schema(), sep="\n")
