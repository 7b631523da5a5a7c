"""Pods that got another address while the server is away."""

from __future__ import annotations

from pylet.agent.offline.endpoints import Corrections
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table

POD, SLICE = Key("a", "p"), Key("a", "web")
READY = {"type": "Ready", "status": "True"}


def table(address: str = "10.42.1.2", revision: int = 7) -> Table:
    slices = Table(ENDPOINT_SLICE)
    slices.put(entry(address, revision))
    return slices


def entry(address: str, revision: int) -> Entry:
    def endpoint(name: str, address: str) -> Object:
        return {"addresses": [address], "targetRef": {"kind": "Pod", "namespace": "a", "name": name}}

    endpoints = [endpoint("p", address), endpoint("elsewhere", "10.42.2.2")]
    meta = {"namespace": "a", "name": "web", "resourceVersion": str(revision)}
    return Entry.of(ENDPOINT_SLICE, {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints})


def addresses(slices: Table) -> list[tuple[str, bool | None]]:
    endpoints = slices.entries[SLICE].object["endpoints"]
    return [(each["addresses"][0], each.get("conditions", {}).get("ready")) for each in endpoints]


def test_its_endpoints_follow_it() -> None:
    slices, corrections = table(), Corrections()
    corrections.unsent(POD, {"podIP": "10.42.1.9", "conditions": [{**READY, "status": "False"}]})
    corrections.correct(slices)
    assert addresses(slices) == [("10.42.1.9", False), ("10.42.2.2", None)]
    corrections.unsent(POD, {"podIP": "10.42.1.9", "conditions": [READY]})
    assert addresses(slices)[0] == ("10.42.1.9", True)
    corrections.unsent(POD, {"podIP": "10.42.1.9"})  # as ready as the server thinks
    assert addresses(slices)[0] == ("10.42.1.9", None)
    corrections.unsent(POD, {})
    assert addresses(slices)[0] == ("10.42.1.2", None)


def test_what_the_server_says_later_holds() -> None:
    slices, corrections = table(), Corrections()
    corrections.correct(slices)
    corrections.unsent(POD, {"podIP": "10.42.1.9"})
    slices.replace([entry("10.42.1.2", 7)], 8)  # a list, of what has not changed meanwhile
    assert addresses(slices)[0] == ("10.42.1.2", None)


def test_a_status_that_was_sent_ends_the_correction() -> None:
    slices, corrections = table(), Corrections()
    corrections.correct(slices)
    corrections.unsent(POD, {"podIP": "10.42.1.9"})
    corrections.sent(POD)
    assert (addresses(slices)[0], slices.entries[SLICE].revision) == (("10.42.1.2", None), 7)


def test_one_that_stayed_where_it_was_is_the_servers_to_judge() -> None:
    slices, corrections = table(), Corrections()
    corrections.correct(slices)
    corrections.unsent(POD, {"podIP": "10.42.1.2", "conditions": []})
    assert addresses(slices)[0] == ("10.42.1.2", None)
