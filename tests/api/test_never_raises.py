"""Whatever the schema lets through, a kind's rules and columns have an answer to: bad input is never a bug's trace."""

import random
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from pylet.api import kinds, schema
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.schema import node as nodes

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WORDS = (
    "",
    "a",
    "A_b",
    "-",
    "10.0.0.1",
    "::1",
    "Never",
    "ClusterIP",
    "None",
    "In",
    "Gt",
    "25%",
    "metadata.labels['a']",
)
TEXTS = {
    "resource.Quantity": ("0", "-1", "100m", "1Gi"),
    "v1.Time": ("2026-01-01T00:00:00Z",),
    "v1.MicroTime": ("2026-01-01T00:00:00.000000Z",),
}


class Maker:
    """Random objects of a schema; each field is there or not, lists and maps are short, depth is bounded."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def struct(self, struct: nodes.Struct, depth: int) -> Object:
        likely = 0.6 if depth < 6 else 0.15
        return {
            name: self.value(check, depth)
            for name, check in struct.fields.items()
            if self.random.random() < likely and name not in ("apiVersion", "kind")
        }

    def value(self, check: Any, depth: int) -> Any:
        pick = self.random.choice
        match check:
            case nodes.Ref():
                return self.struct(check.struct, depth + 1) if depth < 9 else {}
            case nodes.List():
                return [self.value(check.item, depth) for _ in range(self.random.randrange(3))]
            case nodes.Map():
                return {pick(WORDS): self.value(check.item, depth) for _ in range(self.random.randrange(3))}
            case nodes.Text():
                return pick(TEXTS[check.go_type])
            case nodes.IntOrString():
                return pick((0, -1, 80, 99999, "", "http", "25%", "200%"))
            case nodes.Integer() | nodes.Number():
                return pick((0, -1, 1, 80, 99999, 2**31 - 1))
            case nodes.Bytes():
                return pick(("", "YQ=="))
            case nodes.Any_():
                return pick(({}, {"a": 1}))
        return pick((True, False)) if check is bool else pick(WORDS)


@pytest.mark.parametrize("kind", [kind for kind in kinds.all_kinds() if kind.verbs], ids=lambda kind: kind.resource)
def test_any_object_is_judged_and_shown(kind: Kind) -> None:
    make = Maker(seed=7)
    struct = schema.of(kind.definition)
    for _ in range(60):
        objects = []
        for _ in range(2):
            obj = make.struct(struct, 0)
            obj["metadata"] = {**obj.get("metadata", {}), "name": "x"}
            assert struct.decode(obj) == []
            schema.default(kind.definition, obj)
            again = deepcopy(obj)
            assert struct.decode(again) == []
            schema.default(kind.definition, again)
            assert again == obj
            objects.append(obj)
        new, old = objects
        for read in kind.fields.values():
            assert isinstance(read(new), str)
        if kind.cells is not None:
            assert len(kind.cells(new, NOW)) == len(kind.columns)
        kind.strategy.delete_grace_seconds(new, None)
        for subresource in ("", *kind.subresources):
            written = deepcopy(new)
            kind.strategy.prepare_update(written, deepcopy(old), subresource)
            list(kind.strategy.validate_update(written, old, subresource))
        created = deepcopy(new)
        kind.strategy.prepare_create(created)
        list(kind.strategy.validate(created))
        list(kind.strategy.warnings(created))
