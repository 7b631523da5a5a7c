"""Descriptions of fixed objects beside golden files; `UPDATE_GOLDEN=1` writes them anew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from pylet.api.object import Object
from pylet.cli.kubectl import describe
from pylet.cli.kubectl.resources import Resource
from pylet.cli.kubectl.targets import target_of

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OBJECTS: dict[str, Object] = {
    obj["metadata"]["name"]: obj for obj in yaml.safe_load_all((GOLDEN / "objects.yaml").read_text())
}
EVENT = {
    "type": "Warning",
    "reason": "BackOff",
    "message": "Back-off restarting failed container",
    "count": 3,
    "firstTimestamp": "2026-01-02T03:00:00Z",
    "lastTimestamp": "2026-01-02T03:03:00Z",
    "source": {"component": "kubelet"},
    "involvedObject": {"fieldPath": "spec.containers{web}"},
}


class Lists:
    """An API of lists: events for every object, and the pods, replica sets and slices of the file."""

    def request(self, method: str, path: str, *, query: dict[str, Any] | None = None) -> Object:
        plural = path.rsplit("/", 1)[-1]
        if plural == "events":
            return {"items": [EVENT]}
        return {"items": [obj for obj in OBJECTS.values() if f"{obj['kind'].lower()}s" == plural]}


class Session:
    api = Lists()


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_described_as_its_golden_file_says(name: str) -> None:
    obj = OBJECTS[name]
    group, _, version = obj["apiVersion"].rpartition("/")
    namespaced = "namespace" in obj["metadata"]
    resource = Resource(group, version, obj["kind"].lower() + "s", obj["kind"], namespaced)
    session: Any = Session()
    text = describe.text_of(session, target_of(resource, obj), events=True, now=NOW)
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
