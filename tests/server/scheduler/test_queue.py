from __future__ import annotations

from pylet.server.scheduler.queue import Queue

FIT = frozenset({"NodeResourcesFit"})


def test_who_matters_more_comes_first_then_who_came_first() -> None:
    queue = Queue()
    for uid, priority in (("a", 0), ("b", 5), ("c", 5), ("d", 0)):
        queue.add(uid, priority)
    assert [queue.pop(0.0) for _ in range(5)] == ["b", "c", "a", "d", None]


def test_a_parked_pod_waits_for_help_or_five_minutes() -> None:
    queue = Queue()
    queue.add("a", 0)
    assert queue.pop(0.0) == "a"
    queue.park("a", FIT)
    assert queue.due() == 300.0
    assert queue.pop(299.0) is None
    assert queue.pop(300.0) == "a"


def test_a_woken_pod_backs_off_only_while_others_have_work() -> None:
    queue = Queue()
    queue.add("a", 9)
    queue.pop(0.0)
    queue.park("a", FIT)
    queue.add("b", 0)
    queue.wake("a", 0.5, "NodeAdd")
    assert [queue.pop(0.5), queue.pop(0.5)] == ["b", "a"]


def test_backing_off_doubles_up_to_ten_seconds() -> None:
    queue = Queue()
    queue.add("a", 0)
    waits, now = [], 0.0
    for _ in range(6):
        assert queue.pop(now) == "a"
        queue.retry("a")
        due = queue.due()
        assert due is not None
        assert queue.pop(due - 0.1) is None, "nothing but time helps"
        waits.append(due - now)
        now = due
    assert waits == [1, 2, 4, 8, 10, 10]


def test_only_those_that_a_plugin_refused_are_asked() -> None:
    queue = Queue()
    for uid, by in (("a", FIT), ("b", frozenset({"NodeAffinity"})), ("c", frozenset[str]())):
        queue.add(uid, 0)
        queue.pop(0.0)
        queue.park(uid, by)
    assert [uid for uid, _ in queue.parked()] == ["a", "b", "c"]
    assert [uid for uid, _ in queue.parked(FIT)] == ["a", "c"]
    queue.remove("a")
    queue.remove("c")
    assert not list(queue.parked(FIT))


def test_a_removed_pod_is_never_tried() -> None:
    queue = Queue()
    queue.add("a", 0)
    queue.remove("a")
    queue.add("b", 0)
    queue.pop(0.0)
    queue.park("b", FIT)
    queue.remove("b")
    assert queue.pop(1000.0) is None
    assert queue.due() is None
