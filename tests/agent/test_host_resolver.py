"""Whom a machine, and its pods, ask for names: as resolv.conf says it now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pylet.agent.resolv_conf import HostResolver
from pylet.aio.clock import SystemClock
from tests.waiting import until

FIRST, SECOND = ("192.0.2.1",), ("192.0.2.2",)


class Hasty(SystemClock):
    """Nobody writes in pieces here."""

    def __init__(self) -> None:
        self.heard_by: set[asyncio.Task[None] | None] = set()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.heard_by.add(asyncio.current_task())


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    for name in ("etc", "resolve"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(file: Path, *addresses: str) -> None:
    """As those do who care that nobody reads half of it."""
    fresh = file.with_suffix(".new")
    fresh.write_text("".join(f"nameserver {address}\n" for address in addresses))
    fresh.replace(file)


@asynccontextmanager
async def followed(etc: Path, clock: Hasty) -> AsyncIterator[HostResolver]:
    host = HostResolver(etc / "etc" / "resolv.conf", clock, etc / "resolve" / "resolv.conf")
    running = asyncio.create_task(host.run())

    def is_watched() -> bool:
        for folder in ("etc", "resolve"):
            (etc / folder / "other").write_text("")
        return len(clock.heard_by) == 2

    try:
        await until(is_watched)
        clock.heard_by.clear()
        yield host
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize(
    ("own", "resolved", "pods"),
    [
        pytest.param(FIRST, SECOND, FIRST, id="others"),
        pytest.param(("127.0.0.53",), SECOND, SECOND, id="itself, and systemd-resolved knows whom it asks"),
        pytest.param(("127.0.0.1", "::1"), (), ("127.0.0.1", "::1"), id="itself, and nobody knows more"),
        pytest.param(("127.0.0.1", *FIRST), SECOND, ("127.0.0.1", *FIRST), id="itself and others"),
        pytest.param((), SECOND, (), id="nobody"),
    ],
)
def test_pods_are_sent_to_whom_they_can_reach(
    etc: Path, own: tuple[str, ...], resolved: tuple[str, ...], pods: tuple[str, ...]
) -> None:
    write(etc / "etc" / "resolv.conf", *own)
    write(etc / "resolve" / "resolv.conf", *resolved)
    host = HostResolver(etc / "etc" / "resolv.conf", SystemClock(), etc / "resolve" / "resolv.conf")
    assert (host.own.nameservers, host.pods.nameservers) == (own, pods)


async def test_a_machine_that_gets_a_network_later_is_followed(etc: Path) -> None:
    async with followed(etc, Hasty()) as host:
        assert host.own.problem.endswith("resolv.conf: no such file or directory")
        heard = asyncio.Event()
        host.listen(heard.set)
        write(etc / "etc" / "resolv.conf", *FIRST)
        await asyncio.wait_for(heard.wait(), 10)
        assert host.own.nameservers == host.pods.nameservers == FIRST


async def test_a_network_that_goes_takes_nobody_away_and_the_next_one_counts(etc: Path) -> None:
    file = etc / "etc" / "resolv.conf"
    write(file, *FIRST)
    clock = Hasty()
    async with followed(etc, clock) as host:
        heard: list[tuple[str, ...]] = []
        host.listen(lambda: heard.append(host.own.nameservers))
        write(file)
        await until(lambda: clock.heard_by)
        await asyncio.sleep(0)
        assert host.own.nameservers == FIRST
        write(file, *SECOND)
        await until(lambda: bool(heard))
        assert heard == [SECOND]


async def test_what_a_link_leads_to_is_followed(etc: Path) -> None:
    """As where systemd-resolved is: the machine's file stays as it is while whom it asks changes."""
    write(etc / "resolve" / "stub.conf", "127.0.0.53")
    write(etc / "resolve" / "resolv.conf", *FIRST)
    (etc / "etc" / "resolv.conf").symlink_to(etc / "resolve" / "stub.conf")
    async with followed(etc, Hasty()) as host:
        heard = asyncio.Event()
        host.listen(heard.set)
        write(etc / "resolve" / "resolv.conf", *SECOND)
        await asyncio.wait_for(heard.wait(), 10)
        assert (host.own.nameservers, host.pods.nameservers) == (("127.0.0.53",), SECOND)
