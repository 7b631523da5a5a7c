"""Rows and metadata that are remembered say what they would say if they were made anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from pylet.api import columns, kinds
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.wire import metadata, table
from pylet.client.view import Entry
from pylet.server.http import parts, representation
from pylet.server.http.negotiation import JSON_TYPE, PLAIN, Media, Shape
from pylet.server.registry import Page
from pylet.server.registry.form import entry_of, stored

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = "2026-01-01T00:00:00Z"


def kind_of(name: str) -> Kind:
    found = kinds.by_kind("", "v1", name)
    assert found is not None
    return found


def pod(restarted: str = STAMP) -> Entry:
    terminated = {"lastState": {"terminated": {"finishedAt": restarted}}, "restartCount": 1, "name": "c", "state": {}}
    obj: Object = {
        "metadata": {"name": "a", "namespace": "b", "creationTimestamp": STAMP, "labels": {"metadata": '{"x":"'}},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Running", "containerStatuses": [terminated]},
    }
    return entry_of(kind_of("Pod"), stored(kind_of("Pod"), obj), 7)


def rows_at(entry: Entry, now: datetime, kind: Kind | None = None, include: str = "") -> Any:
    (row,) = parts.rows(kind or kind_of("Pod"), [entry], now, include, metadata.VERSION)
    return orjson.loads(row)


@pytest.mark.parametrize("include", ["", "Metadata", "Object", "None"])
def test_a_row_is_that_of_a_table_made_of_the_object(include: str) -> None:
    entry, now = pod(), CREATED + timedelta(hours=1)
    expected = table.row(kind_of("Pod"), entry.object, now, include=include)
    assert rows_at(entry, now, include=include) == expected
    assert rows_at(entry, now, include=include) == expected


def test_metadata_is_cut_out_as_it_is() -> None:
    entry = pod()
    for _ in range(2):
        (made,) = parts.partials([entry], "meta.k8s.io/v1beta1")
        assert orjson.loads(made) == {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1beta1",
            "metadata": entry.object["metadata"],
        }


def test_remembered_ages_go_on_and_back_with_the_clock() -> None:
    entry = pod("2026-01-01T00:00:30Z")
    for seconds in (59.2, 60, 61, 119, 120, 121.5, 599, 600, 659, 661, 28_800, 30_000, 32_400, 691_200, 900_000, 60):
        now = CREATED + timedelta(seconds=seconds)
        assert rows_at(entry, now)["cells"] == table.cells(kind_of("Pod"), entry.object, now)


def test_cells_are_those_of_the_table_that_is_asked_for() -> None:
    entry, now = pod(), CREATED + timedelta(days=1)
    rows_at(entry, now)
    assert rows_at(entry, now, kind_of("ConfigMap"))["cells"] == ["a", 0, "24h"]


def test_how_long_an_age_says_the_same() -> None:
    for seconds in (-3.5, -1, 0, 0.5, 1, 119.5, 300, 599.5, 600, 10_799, 28_799, 28_800, 172_799, 691_199, 9e7):
        lasting = columns.stays(seconds)
        told = columns.human_duration(seconds)
        assert columns.human_duration(seconds + lasting - 0.001) == told
        assert lasting > 0


@pytest.mark.parametrize(
    "sizes", [(), (1,), (200_000,), (10,) * 5000, (1, 300_000, 1, 1, 150_000)], ids=lambda sizes: f"{len(sizes)} items"
)
def test_a_list_of_stored_bytes_is_as_long_as_it_says(sizes: tuple[int, ...]) -> None:
    kind = kind_of("ConfigMap")
    objects: list[Object] = [
        {"metadata": {"name": f"m{at}", "namespace": "a"}, "data": {"x": "x" * size}} for at, size in enumerate(sizes)
    ]
    entries = [entry_of(kind, stored(kind, obj), 7) for obj in objects]
    listed = representation.many(kind, Page(entries, 9), PLAIN, CREATED)
    body = b"".join(listed.pieces)
    assert orjson.loads(body)["items"] == [
        {"metadata": {"resourceVersion": "7", **obj["metadata"]}, "data": obj["data"]} for obj in objects
    ]
    assert listed.length in (len(body), None)


@pytest.mark.parametrize("many", [0, 1, 128, 129, 700])
def test_short_forms_of_a_list_are_those_of_its_objects(many: int) -> None:
    kind = kind_of("ConfigMap")
    objects: list[Object] = [{"metadata": {"name": f"m{at}", "namespace": "a"}} for at in range(many)]
    page = Page([entry_of(kind, stored(kind, obj), 7) for obj in objects], 9)
    found = [entry.object for entry in page.entries]
    for shape, name, expected in (
        (Shape.TABLE, "rows", [table.row(kind, obj, CREATED) for obj in found]),
        (Shape.METADATA_LIST, "items", [metadata.partial(obj, "meta.k8s.io/v1") for obj in found]),
    ):
        listed = representation.many(kind, page, Media(JSON_TYPE, shape, "v1"), CREATED)
        assert orjson.loads(b"".join(listed.pieces))[name] == expected
