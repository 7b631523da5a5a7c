"""Who may use an image that is here already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from pylet.agent.kubelet.images import ImageError, Images
from pylet.agent.kubelet.keyring import Credential, Source
from pylet.agent.kubelet.pull_records import PullRecords, Verification, check_pattern
from pylet.aio.clock import SystemClock
from pylet.cri.memory import MemoryRuntime
from pylet.cri.messages import AuthConfig, Image
from tests.agent.kubelet.builders import IMAGE


def held(secret: str, password: str = "p", kind: str = "Secret") -> Credential:
    return Credential(AuthConfig(username="u", password=password), Source(kind, f"uid-{secret}", "default", secret))


ALICE, BOB = held("alice"), held("bob", "q")


class Node:
    """What pods ask for, with what credentials, and whether that took a pull."""

    def __init__(self, root: Path, verification: Verification = Verification()) -> None:  # noqa: B008 - immutable
        self.runtime = MemoryRuntime()
        self.records = PullRecords(root, verification, SystemClock())
        self.images = Images(self.runtime, SystemClock(), self.records)

    async def ask(self, *credentials: Credential, policy: str = "IfNotPresent", image: str = IMAGE) -> bool:
        told: list[str] = []

        async def lookup() -> Sequence[Credential]:
            return credentials

        await self.images.ensure(image, policy, lookup, lambda _, reason, __: told.append(reason), owner="u1")
        return "Pulling" in told


@pytest.mark.parametrize(
    ("first", "second", "pulls"),
    [
        ([], [], False),
        ([], [ALICE], False),
        ([ALICE], [ALICE], False),
        ([ALICE], [], True),
        ([ALICE], [BOB], True),
        ([ALICE], [BOB, ALICE], False),
        ([ALICE], [held("alice", "changed")], False),
        ([ALICE], [held("copy")], False),
        ([Credential(AuthConfig(username="node"))], [], False),
        ([held("a", kind="ServiceAccount")], [held("a", "another token", kind="ServiceAccount")], False),
        ([held("a", kind="ServiceAccount")], [held("b", kind="ServiceAccount")], True),
    ],
)  # fmt: skip
async def test_an_image_that_was_pulled(
    tmp_path: Path, first: list[Credential], second: list[Credential], *, pulls: bool
) -> None:
    node = Node(tmp_path)
    assert await node.ask(*first)
    assert await node.ask(*second) is pulls
    assert not list((tmp_path / "image_manager" / "pulling").iterdir())


async def test_what_one_may_not_have_is_not_there_to_be_seen(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.ask(ALICE)
    with pytest.raises(ImageError, match="is not present with pull policy of Never"):
        await node.ask(policy="Never")
    assert not await node.ask(ALICE, policy="Never")


@pytest.mark.parametrize(
    ("verification", "pulls"),
    [
        (Verification(), False),
        (Verification("NeverVerify"), False),
        (Verification("AlwaysVerify"), True),
        (Verification("NeverVerifyAllowlistedImages", ("registry.example/*",)), False),
        (Verification("NeverVerifyAllowlistedImages", ("registry.example/app",)), False),
        (Verification("NeverVerifyAllowlistedImages", ("registry.example/ap",)), True),
    ],
    ids=str,
)
async def test_an_image_that_was_loaded_by_hand(tmp_path: Path, verification: Verification, *, pulls: bool) -> None:
    node = Node(tmp_path, verification)
    await node.runtime.pull_image(IMAGE)
    assert await node.ask() is pulls


async def test_whose_a_pull_was_that_an_earlier_kubelet_did_not_see_end_is_unknown(tmp_path: Path) -> None:
    before = Node(tmp_path)
    stuck = before.records.pulling(IMAGE)
    stuck.__enter__()
    node = Node(tmp_path)
    node.runtime = before.runtime
    node.images = Images(before.runtime, SystemClock(), node.records)
    await node.runtime.pull_image(IMAGE)
    await node.images.recover()
    assert await node.ask(ALICE)
    assert not await node.ask(ALICE)


async def test_records_of_images_that_have_gone_go(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.ask(ALICE)
    kept = list((tmp_path / "image_manager" / "pulled").iterdir())
    now = SystemClock().now()
    node.records.prune((), now - timedelta(minutes=1))
    assert list((tmp_path / "image_manager" / "pulled").iterdir()) == kept
    node.records.prune((), now + timedelta(minutes=1))
    assert not list((tmp_path / "image_manager" / "pulled").iterdir())


async def test_a_record_that_is_broken_proves_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.ask(ALICE)
    (record,) = (tmp_path / "image_manager" / "pulled").iterdir()
    record.write_bytes(b"{")
    assert await node.ask(ALICE)


@pytest.mark.parametrize("pattern", ["*", "r.io/*/a", " r.io/a", "r.io/a:1", "r.io/a@sha256:0", "/*", ""])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_pattern(pattern)


def test_an_intent_is_taken_back_by_its_image(tmp_path: Path) -> None:
    records = PullRecords(tmp_path, Verification(), SystemClock())
    with records.pulling(IMAGE):
        records.recover([Image(id="sha256:1", repo_tags=("registry.example/other:1",))])
        assert list((tmp_path / "image_manager" / "pulling").iterdir())
