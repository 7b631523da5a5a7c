"""The machine's resolv.conf. Source: upstream `pkg/kubelet/network/dns/dns.go` parseResolvConf."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResolvConf:
    path: Path = Path("/etc/resolv.conf")
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """`name` or `name:value`."""
    problem: str = ""
    """Why it could not be read."""


def read(path: Path) -> ResolvConf:
    """Nobody to ask where it cannot be read."""
    try:
        return parse(path, path.read_text(errors="replace"))
    except OSError as failed:
        why = (failed.strerror or str(failed)).lower()
        log.warning("%s: %s; names outside the cluster will not be found", path, why)
        return ResolvConf(path, problem=f"open {path}: {why}")


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
