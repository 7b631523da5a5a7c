"""The machine's resolv.conf, as it is now. Source: upstream `pkg/kubelet/network/dns/dns.go` parseResolvConf.

A machine that roams asks others for names, and one that boots asks nobody yet: the file is followed. Where it names
this machine alone, whom no pod can reach, pods ask whom systemd-resolved asks, if that is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from pylet.aio.clock import Clock
from pylet.aio.failures import in_words
from pylet.aio.filewatch import FileWatch

log = logging.getLogger(__name__)

_RESOLVED = Path("/run/systemd/resolve/resolv.conf")
_SETTLE_SECONDS = 1.0  # it is written in several pieces


@dataclass(frozen=True, slots=True)
class ResolvConf:
    path: Path = Path("/etc/resolv.conf")
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """`name` or `name:value`."""
    problem: str = ""
    """Why it could not be read."""


class HostResolver:
    """Whom the machine asks for names (`own`), and whom its pods are to ask (`pods`). `run` until cancelled."""

    def __init__(self, path: Path, clock: Clock, resolved: Path = _RESOLVED) -> None:
        """`resolved` is where systemd-resolved says whom it asks."""
        self._path = path
        self._clock = clock
        self._resolved = resolved
        self._heard: list[Callable[[], None]] = []
        self.own, self.pods = self._read()
        if self.own.problem:
            log.warning("%s; names outside the cluster will not be found", self.own.problem)

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Calls `heard` after each change; the answer ends that."""
        self._heard.append(heard)
        return lambda: self._heard.remove(heard)

    async def run(self) -> None:
        folders = {self._path.parent, self._path.resolve().parent, self._resolved.parent}
        async with asyncio.TaskGroup() as group:
            for folder in folders:
                if folder.is_dir():
                    group.create_task(self._follow(folder))

    async def _follow(self, folder: Path) -> None:
        try:
            async with FileWatch(folder) as watch:
                while True:
                    self._look()
                    await watch.changed()
                    await self._clock.sleep(_SETTLE_SECONDS)
        except OSError as failed:
            log.warning("changes of %s are not heard of: %s", self._path, in_words(failed))

    def _look(self) -> None:
        """One that names nobody, as while a network is away, changes nothing."""
        own, pods = self._read()
        if own.nameservers and (own, pods) != (self.own, self.pods):
            log.info("%s: names are asked of %s now", self._path, ", ".join(pods.nameservers))
            self.own, self.pods = own, pods
            for heard in list(self._heard):
                heard()

    def _read(self) -> tuple[ResolvConf, ResolvConf]:
        own = read(self._path)
        if not own.nameservers or not all(map(_is_here, own.nameservers)):
            return own, own
        asked = read(self._resolved)
        return own, asked if asked.nameservers else own


def _is_here(address: str) -> bool:
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def read(path: Path) -> ResolvConf:
    """Nobody to ask where it cannot be read."""
    try:
        return parse(path, path.read_text(errors="replace"))
    except OSError as failed:
        return ResolvConf(path, problem=f"open {path}: {(failed.strerror or str(failed)).lower()}")


def parse(path: Path, text: str) -> ResolvConf:
    """Of lines that search and of options the last one holds; a domain is the same with and without its last dot."""
    nameservers: list[str] = []
    searches: tuple[str, ...] = ()
    options: dict[str, str] = {}
    problem = ""
    for line in text.splitlines():
        match line.split():
            case ["nameserver"]:
                problem = "nameserver list is empty "
            case ["nameserver", address, *_]:
                nameservers.append(address)
            case ["search", *domains]:
                searches = tuple(domain.removesuffix(".") for domain in domains if domain != ".")
            case ["options", *said]:
                options |= {option.partition(":")[0]: option for option in said}
    return ResolvConf(path, tuple(nameservers), searches, tuple(options.values()), problem)
