"""The values that OpenAPI publishes of fields which take no others, as enums.txt lists them."""

from __future__ import annotations

from pathlib import Path

from pylet.api.object import Object

Values = dict[str, dict[str, list[str]]]


def enums() -> Values:
    """Values by type and field. Read anew each time, since few ask."""
    found: Values = {}
    for line in Path(__file__).with_name("enums.txt").read_text().splitlines()[1:]:
        fields, _, values = line.partition(" = ")
        for owner, field in (place.split(".") for place in fields.split()):
            found.setdefault(owner, {})[field] = values.split("|")
    return found


def with_values(schema: Object, values: list[str]) -> Object:
    """The schema of a field that takes these alone, which its description tells, or that holds such."""
    for holder in ("items", "additionalProperties"):
        if holder in schema:
            return {**schema, holder: {**schema[holder], "enum": values}}
    told = "\n".join(f' - `"{value}"`' for value in values)
    return {**schema, "description": f"{schema['description']}\n\nPossible enum values:\n{told}", "enum": values}
