"""`explain` on a document small enough to see whole."""

from typing import Any

import pytest

from pylet.cli.failure import Failure
from pylet.cli.kubectl.explaining import Explanation, wrap

GVK = {"group": "x.io", "version": "v1", "kind": "Thing"}
DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "io.x.Thing": {
                "description": "A thing.",
                "type": "object",
                "x-kubernetes-group-version-kind": [GVK],
                "required": ["spec"],
                "properties": {
                    "spec": {"description": "What is wanted.", "allOf": [{"$ref": "#/components/schemas/io.x.Spec"}]},
                    "tags": {"additionalProperties": {"type": "string"}, "type": "object"},
                },
            },
            "io.x.Spec": {
                "type": "object",
                "description": "Spec of it.",
                "properties": {
                    "mode": {"type": "string", "enum": ["", "Fast"]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/io.x.Spec"}},
                },
            },
        }
    }
}


def test_a_kind_shows_its_fields() -> None:
    assert Explanation(DOCUMENT, recursive=False).text(GVK, []) == (
        "GROUP:      x.io\nKIND:       Thing\nVERSION:    v1\n\nDESCRIPTION:\n    A thing.\n    \nFIELDS:\n"
        "  spec\t<Spec> -required-\n    What is wanted.\n\n  tags\t<map[string]string>\n    <no description>\n\n\n"
    )


def test_fields_of_fields_end_where_they_would_repeat() -> None:
    text = Explanation(DOCUMENT, recursive=True).text(GVK, ["spec"])
    assert text.endswith('FIELDS:\n  mode\t<string>\n  enum: "", Fast\n  parts\t<[]Spec>\n\n')


def test_a_field_shows_what_it_may_be() -> None:
    text = Explanation(DOCUMENT, recursive=False).text(GVK, ["spec", "parts", "mode"])
    assert 'FIELD: mode <string>\nENUM:\n    ""\n    Fast\n\n' in text


def test_an_unknown_field_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure, match='error: field "nope" does not exist'):
        Explanation(DOCUMENT, recursive=False).text(GVK, ["spec", "nope"])
    assert "KIND:       Thing" in capsys.readouterr().out


def test_words_are_wrapped_and_double_spaces_stay() -> None:
    assert wrap("one  two three\nfour", 8) == "one  two\nthree\nfour"
