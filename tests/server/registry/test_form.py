"""The form of stored objects."""

from __future__ import annotations

import gc

import orjson
import pytest

from pylet.api.kind import Kind
from pylet.api.kinds.configmap import KIND as CONFIGMAP
from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.kinds.event import KIND as EVENT
from pylet.server.registry.form import at_revision, entry_of, stored, type_meta
from tests.server.kit import Api


@pytest.mark.parametrize(("kind", "is_shared"), [(CONFIGMAP, False), (EVENT, True)])
def test_an_entry_says_its_revision_and_an_events_bytes_are_the_stores_own(kind: Kind, is_shared: bool) -> None:
    value = stored(kind, {"metadata": {"name": "a", "namespace": "b"}})
    entry = entry_of(kind, value, 7)
    wanted = orjson.loads(value) | {"metadata": {"resourceVersion": "7", "name": "a", "namespace": "b"}}
    assert orjson.loads(entry.raw) == entry.object == wanted
    assert orjson.loads(at_revision(entry, 8).raw)["metadata"]["resourceVersion"] == "8"
    assert any(held is value for held in gc.get_referents(entry)) is is_shared


def test_an_entrys_bytes_begin_as_lists_rely_on_it() -> None:
    strange = b'{"metadata":{"name":"a","namespace":"b"},"apiVersion":"v1","kind":"ConfigMap","data":{"c":"d"}}'
    raw = entry_of(CONFIGMAP, strange, 7).raw
    assert raw.startswith(type_meta(CONFIGMAP) + b'"metadata":{"resourceVersion":"7"')
    assert orjson.loads(raw)["data"] == {"c": "d"}


async def test_what_is_compared_byte_by_byte_is_kept_as_go_writes_it(api: Api) -> None:
    revision = {"kind": "ControllerRevision", "apiVersion": "apps/v1", "data": {"command": "a && b > c"}, "revision": 1}
    made = await api.create({**revision, "metadata": {"name": "a", "namespace": "a"}})
    assert made["data"] == revision["data"]
    entry = await api.registry.get(api.request("get", CONTROLLER_REVISION, "a", "a"))
    again = stored(CONTROLLER_REVISION, orjson.loads(entry.raw))
    assert [raw.count(rb'"a \u0026\u0026 b \u003e c"') for raw in (entry.raw, again)] == [1, 1]
