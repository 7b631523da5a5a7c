"""What `taint` makes of a node's taints, and which pods `drain` takes off it."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from pylet.api.object import Object
from pylet.cli.kubectl import taints
from pylet.cli.kubectl.draining import Rules, select

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FOO = {"key": "foo", "value": "bar", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("changes", "overwrite", "wanted", "word"),
    [
        pytest.param(["a:NoExecute"], False, [{"key": "a", "effect": "NoExecute"}, FOO], "tainted", id="added"),
        pytest.param(["foo-"], False, [], "untainted", id="removed by key"),
        pytest.param(["foo:NoSchedule-"], False, [], "untainted", id="removed by key and effect"),
        pytest.param(["foo=x:NoSchedule"], True, [{**FOO, "value": "x"}], "modified", id="overwritten"),
    ],
)
def test_taints_change(changes: list[str], overwrite: bool, wanted: list[Object], word: str) -> None:
    put, gone = taints.parse(changes)
    assert taints.apply([FOO], put, gone, overwrite=overwrite) == (wanted, word)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["a"], "invalid taint spec: a"),
        (["a=b:Never"], "invalid taint effect: Never, unsupported taint effect"),
        (["a=b=c:NoSchedule"], "invalid taint spec: a=b=c:NoSchedule"),
        (["foo=x:NoSchedule"], "already has foo taint(s) with same effect(s) and --overwrite is false"),
        (["b-"], 'taint "b" not found'),
    ],
)
def test_taints_that_can_not_be_are_refused(changes: list[str], message: str) -> None:
    with pytest.raises(taints.BadTaint) as refused:
        taints.apply([FOO], *taints.parse(changes), overwrite=False)
    assert str(refused.value) == message


def _pod(name: str, *, owner: str = "", volumes: Any = (), phase: str = "Running", **meta: Any) -> Object:
    owners = [{"kind": owner, "name": "owner", "controller": True}] if owner else []
    metadata = {"namespace": "ns", "name": name, "ownerReferences": owners, **meta}
    return {"metadata": metadata, "spec": {"volumes": list(volumes)}, "status": {"phase": phase}}


BARE, OWNED, DAEMON = _pod("bare"), _pod("owned", owner="ReplicaSet"), _pod("daemon", owner="DaemonSet")
LOCAL = _pod("local", owner="ReplicaSet", volumes=[{"emptyDir": {}}])
MIRROR = _pod("mirror", annotations={"kubernetes.io/config.mirror": "x"})
GONE = _pod("gone", owner="ReplicaSet", deletionTimestamp="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("pods", "rules", "leaving", "refusal"),
    [
        pytest.param([OWNED], Rules(), ["owned"], "", id="a pod with a controller leaves"),
        pytest.param(
            [BARE],
            Rules(),
            [],
            "Pods that declare no controller (use --force to override): ns/bare",
            id="a bare one not",
        ),
        pytest.param([BARE], Rules(force=True), ["bare"], "", id="unless forced"),
        pytest.param([_pod("done", phase="Succeeded")], Rules(), ["done"], "", id="a finished one leaves"),
        pytest.param(
            [DAEMON],
            Rules(),
            [],
            "DaemonSet-managed Pods (use --ignore-daemonsets to ignore): ns/daemon",
            id="a daemon",
        ),
        pytest.param([DAEMON], Rules(ignore_daemonsets=True), [], "", id="an ignored daemon stays"),
        pytest.param(
            [LOCAL],
            Rules(),
            [],
            "Pods with local storage (use --delete-emptydir-data to override): ns/local",
            id="local data",
        ),
        pytest.param([LOCAL], Rules(delete_emptydir_data=True), ["local"], "", id="local data given up"),
        pytest.param([MIRROR], Rules(), [], "", id="a static pod's mirror stays"),
        pytest.param([GONE], Rules(skip_deleted_after_seconds=60), [], "", id="one long deleted is not waited for"),
    ],
)
def test_a_drain_chooses(pods: list[Object], rules: Rules, leaving: list[str], refusal: str) -> None:
    found = select(pods, rules, {("ns", "owner")}, NOW)
    assert [pod["metadata"]["name"] for pod in found.leaving] == leaving
    assert found.refusal().removeprefix("cannot delete ") == refusal


@pytest.mark.parametrize(
    ("deleted", "skip_after", "seconds"),
    [
        pytest.param("2026-01-01T23:58:00Z", 60, -60, id="long ago"),
        pytest.param("2026-01-01T23:59:30Z", 60, 30, id="not yet"),
        pytest.param("2026-01-01T23:58:00Z", 0, math.inf, id="always waited for"),
        pytest.param(None, 60, math.inf, id="not deleted"),
    ],
)
def test_the_end_of_a_pod_is_waited_for_so_long(deleted: str | None, skip_after: int, seconds: float) -> None:
    meta = {"deletionTimestamp": deleted} if deleted else {}
    assert Rules(skip_deleted_after_seconds=skip_after).patience_seconds({"metadata": meta}, NOW) == seconds
