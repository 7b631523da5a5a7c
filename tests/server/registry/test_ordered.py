"""What bears a label is found whatever changed before, and where names and namespaces lie."""

from __future__ import annotations

import random

import pytest

from pylet.api import kinds
from pylet.api.object import Key
from pylet.client.view import Entry
from pylet.server.registry.ordered import Ordered
from pylet.server.registry.selection import selection_of


def test_a_label_is_found_as_if_each_entry_were_judged() -> None:
    kind = kinds.by_kind("", "v1", "ConfigMap")
    assert kind is not None
    chance = random.Random(7)
    rows: dict[Key, Entry] = {}
    ordered = Ordered(rows)
    for revision in range(1, 1500):
        key = Key(chance.choice("ab"), f"m{chance.randrange(60):02d}")
        before, after = rows.pop(key, None), None
        if before is None or chance.random() < 0.7:
            labels = {f"l{at}": str(chance.randrange(300)) for at in range(12) if chance.random() < 0.8}
            after = rows[key] = Entry(key, revision, b"", "", labels, (), ())
        ordered.change(before, after)
        asked = f"l{chance.randrange(12)}={chance.choice([*range(300), ''])}"
        if after is not None and chance.random() < 0.5:
            asked = ",".join(f"{label}={value}" for label, value in [*after.labels.items()][:2])
        selection = selection_of(kind, chance.choice(["a", "b", ""]), asked, "")
        found = list(selection.among(ordered, ordered.span(selection.namespace, None, None)))
        assert found == [rows[key] for key in sorted(rows) if selection.matches(rows[key])]


@pytest.mark.parametrize(
    ("keys", "namespace", "name", "found"),
    [
        ("a/x a/y b/x", "", None, "a/x a/y b/x"),
        ("a/x a/y b/x", "a", None, "a/x a/y"),
        ("a/x a/y b/x", "a", "x", "a/x"),
        pytest.param("a/x a/y b/x", "", "x", "a/x a/y b/x", id="a name may be in every namespace"),
        pytest.param("a/y b/x", "a", "x", "a/y", id="of none by this name at most one is looked at"),
        ("/x", "", "x", "/x"),
        ("/x /y", "", "x", "/x"),
        ("", "", "x", ""),
    ],
)
def test_where_names_lie(keys: str, namespace: str, name: str | None, found: str) -> None:
    rows = {}
    for revision, text in enumerate(keys.split()):
        key = Key(*text.split("/"))
        rows[key] = Entry(key, revision, b"", "", {}, (), ())
    ordered = Ordered(rows)
    assert ordered.keys[ordered.span(namespace, name, None)] == [Key(*text.split("/")) for text in found.split()]
