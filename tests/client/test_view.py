"""Tables: what their indexes answer is what a look at every entry would."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key
from pylet.client.view import Entry, Table, age


def entry(number: int, node: str, revision: int, owners: list[str]) -> Entry:
    meta = {
        "name": f"p{number}",
        "namespace": f"ns{number % 3}",
        "uid": f"u{number}",
        "resourceVersion": str(revision),
        "labels": {"app": f"on-{node}"} if revision % 5 else {},
        "ownerReferences": [{"uid": owner} for owner in owners],
    }
    return Entry.of(POD, {"metadata": meta, "spec": {"nodeName": node}, "status": {"phase": "Running"}})


@pytest.mark.parametrize("seed", range(5))
def test_indexes_follow_every_change(seed: int) -> None:
    chance, table, known = random.Random(seed), Table(POD), dict[Key, Entry]()
    for revision in range(1, 800):
        number = chance.randrange(30)
        if chance.random() < 0.3:
            key = Key(f"ns{number % 3}", f"p{number}")
            assert table.remove(key, revision) is known.pop(key, None)
        else:
            owners = chance.choices(["a", "b"], k=chance.randrange(3))  # the same owner twice, too
            made = entry(number, f"n{chance.randrange(4)}", revision, owners)
            table.put(made)
            known[made.key] = made
        if revision % 100 == 50:  # from here on, and not before, somebody asks for this field
            for node in ("n0", "n1", "n2", "n3", "absent"):
                found = table.with_field("spec.nodeName", node)
                assert found == {key: e for key, e in known.items() if e.fields[0] == node}
                for namespace in ("ns0", "ns1"):
                    labelled = [
                        key
                        for key, e in known.items()
                        if key.namespace == namespace and e.labels.get("app") == f"on-{node}"
                    ]
                    assert [e.key for e in table.with_label("app", namespace, f"on-{node}")] == sorted(labelled)
    assert table.with_field("status.phase", "Running") == known
    for owner in ("a", "b"):
        assert table.owned_by(owner) == {key: e for key, e in known.items() if owner in e.owner_uids}
    for namespace in ("ns0", "ns1", "ns2"):
        assert table.in_namespace(namespace) == {key: e for key, e in known.items() if key.namespace == namespace}


def test_a_relist_tells_only_what_differs() -> None:
    table = Table(POD)
    same, changed, gone = (entry(number, "n", 1, []) for number in range(3))
    for one in (same, changed, gone):
        table.put(one)
    heard: list[tuple[Entry | None, Entry | None]] = []
    stop = table.listen(lambda before, after: heard.append((before, after)))
    newer = entry(1, "n", 5, [])
    table.replace([entry(0, "n", 1, []), newer], 7)
    assert heard == [(gone, None), (changed, newer)]
    assert table.revision == 7
    stop()
    table.put(entry(9, "n", 8, []))
    assert len(heard) == 2


def test_a_relist_mends_what_a_row_does_not_have() -> None:
    table, whole = Table(POD), entry(0, "n", 1, [])
    slim = {name: value for name, value in whole.object.items() if name != "spec"}
    table.put(Entry.of(POD, {**slim, "spec": {}}))
    table.replace([whole], 1)
    assert table.entries[whole.key].raw == whole.raw


def test_an_entry_keeps_no_more_memory_than_its_bytes() -> None:
    made = entry(1, "n", 1, [])
    tracemalloc.start()
    try:
        kept = [Entry.of(POD, made.object) for _ in range(100)]
        assert tracemalloc.get_traced_memory()[0] / len(kept) < len(made.raw) + 800
    finally:
        tracemalloc.stop()


def test_what_was_decoded_two_looks_ago_is_decoded_anew() -> None:
    age()
    old, kept = entry(1, "a", 1, []), entry(2, "a", 2, [])
    first = old.object
    age()
    fresh = kept.object
    assert old.object is first
    age()
    assert (old.object == first, old.object is first) == (True, False)
    assert kept.object is fresh


def test_whoever_waits_hears_once_when_the_api_has_said_what_was_remembered() -> None:
    table, heard = Table(POD), list[str]()
    table.when_said(lambda: heard.append("nothing was remembered"))
    table.remember([])
    table.when_said(lambda: heard.append("it was"))
    assert heard == ["nothing was remembered"]
    table.said()
    table.said()
    assert heard == ["nothing was remembered", "it was"]
