"""What is told of an object becomes Events, each thing said one, however often it is said."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pylet.aio.clock import VirtualClock
from pylet.api import timestamps
from pylet.api.errors import AlreadyExists, NotFound
from pylet.api.kind import Kind
from pylet.api.object import Key, Object, key_of
from pylet.client.events import Recorder
from tests.waiting import until


class Api:
    """The Events there are."""

    def __init__(self) -> None:
        self.events: dict[Key, Object] = {}

    async def create(self, kind: Kind, obj: Object) -> Object:
        if key_of(obj) in self.events:
            raise AlreadyExists("", kind.plural, obj["metadata"]["name"])
        return self.events.setdefault(key_of(obj), obj)

    async def patch(self, kind: Kind, key: Key, patch: Object) -> Object:
        if key not in self.events:
            raise NotFound("", kind.plural, key.name)
        self.events[key] |= patch
        return self.events[key]


def pod(number: int) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "a", "uid": f"u{number}"}}


async def tell(api: Any, *notices: tuple[Object, str], recorder: Recorder | None = None) -> Recorder:
    recorder = recorder or Recorder(api, VirtualClock(), "kubelet", "n1")
    running = asyncio.create_task(recorder.run())
    for about, reason in notices:
        recorder.tell(about, "Normal", reason, "words")
    await until(lambda: running.done() or not (recorder._waiting or recorder._told.is_set()))
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    return recorder


def counts(api: Api) -> list[tuple[str, str, int]]:
    return [(e["involvedObject"]["uid"], e["reason"], e["count"]) for e in api.events.values()]


async def test_what_is_noted_beside_is_in_the_event() -> None:
    api = Api()
    recorder = Recorder(api, VirtualClock(), "kubelet", "n1")  # type: ignore[arg-type]
    recorder.tell(pod(1), "Warning", "Evicted", "words", annotations={"starved_resource": "memory"})
    await tell(api, (pod(2), "Killing"), recorder=recorder)
    noted = [event["metadata"].get("annotations") for event in api.events.values()]
    assert noted == [{"starved_resource": "memory"}, None]


async def test_what_is_said_again_is_counted() -> None:
    api = Api()
    await tell(api, (pod(1), "BackOff"), (pod(2), "BackOff"), (pod(1), "BackOff"), (pod(1), "Killing"))
    assert counts(api) == [("u1", "BackOff", 2), ("u2", "BackOff", 1), ("u1", "Killing", 1)]
    assert {key.namespace for key in api.events} == {"a"}
    assert all(key.name.startswith("web.") for key in api.events)


async def test_what_has_expired_is_said_anew() -> None:
    api = Api()
    recorder = await tell(api, (pod(1), "BackOff"), (pod(1), "BackOff"))
    api.events.clear()
    await tell(api, (pod(1), "BackOff"), (pod(1), "BackOff"), recorder=recorder)
    assert counts(api) == [("u1", "BackOff", 2)]


async def test_what_differs_in_words_alone_is_combined() -> None:
    api = Api()
    recorder = Recorder(api, VirtualClock(), "kubelet", "n1")  # type: ignore[arg-type]
    for number in range(12):
        recorder.tell(pod(1), "Warning", "Unhealthy", f"words {number}")
    await tell(api, recorder=recorder)
    *apart, combined = api.events.values()
    assert [(event["message"], event["count"]) for event in apart] == [(f"words {number}", 1) for number in range(9)]
    assert (combined["message"], combined["count"]) == ("(combined from similar events): words 11", 3)


async def test_an_object_of_which_too_much_is_said_is_left_alone() -> None:
    api = Api()
    await tell(api, *[(pod(1), "BackOff")] * 40, (pod(2), "BackOff"))
    assert counts(api) == [("u1", "BackOff", 25), ("u2", "BackOff", 1)]


async def test_two_who_say_the_same_have_an_event_each() -> None:
    api: Any = Api()
    for component in ("kubelet", "other"):
        await tell(api, (pod(1), "BackOff"), recorder=Recorder(api, VirtualClock(), component))
    assert len(api.events) == 2


async def test_little_is_remembered_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylet.client.events._REMEMBERED", 10)
    api = Api()
    recorder = await tell(api, *((pod(number), "Started") for number in range(30)))
    assert len(recorder._written) == 10
    assert all(type(part) is int for item in recorder._written.items() for part in item)
    await tell(api, (pod(1), "Started"), recorder=recorder)  # forgotten: client-go tells it anew, too
    assert counts(api).count(("u1", "Started", 1)) == 2


async def test_events_of_an_object_are_in_order_by_their_names() -> None:
    api = Api()
    reasons = [f"Reason{number}" for number in range(20)]
    await tell(api, *((pod(1), reason) for reason in reasons))
    assert [event["reason"] for _, event in sorted(api.events.items())] == reasons


async def test_an_action_is_told_in_the_newer_way() -> None:
    api, clock = Api(), VirtualClock()
    recorder = Recorder(api, clock, "default-scheduler", "n1")  # type: ignore[arg-type]
    for _ in range(2):
        recorder.tell(pod(1), "Normal", "Preempted", "words", action="Preempting", related=pod(2))
    await tell(api, recorder=recorder)
    (event,) = api.events.values()
    said = {name: event.get(name) for name in ("action", "reportingComponent", "reportingInstance", "source", "count")}
    assert said == {
        "action": "Preempting",
        "reportingComponent": "default-scheduler",
        "reportingInstance": "default-scheduler-n1",
        "source": None,
        "count": None,
    }
    assert event["related"]["uid"] == "u2"
    assert event["eventTime"] == timestamps.format_micro(clock.now())
    assert event["series"] == {"count": 2, "lastObservedTime": event["eventTime"]}
