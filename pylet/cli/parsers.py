"""What an option's text may be: each takes it and returns the value, or raises ValueError with what it should be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit


def address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("is not an IP address") from None


def cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        why = "has host bits set" if "host bits" in str(error) else "is not a network such as 10.42.0.0/16"
        raise ValueError(why) from None


def cidrs(text: str) -> str:
    networks = [cidr(part.strip()) for part in text.split(",")]
    families = [":" in network for network in networks]
    if len(families) != len(set(families)):
        raise ValueError("has two networks of one IP family: give one, or one of each")
    return ",".join(networks)


def port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError("is not a port number from 1 to 65535")


def count(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise ValueError("is not a number, 0 or more")


def port_range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        low, high = port(first), port(last)
    except ValueError:
        low, high = 1, 0
    if not dash or low > high:
        raise ValueError("is not a range of ports such as 30000-32767")
    return low, high


def mode(text: str) -> int:
    if re.fullmatch("0?[0-7]{3}", text):
        return int(text, 8)
    raise ValueError("is not a file mode such as 600 or 0644")


def path(text: str) -> Path:
    if not text:
        raise ValueError("is not a path")
    return Path(text).expanduser().absolute()


def server(text: str) -> str:
    url = urlsplit(text)
    try:
        good = url.scheme == "https" and url.hostname and (url.port or True) and url.path in ("", "/")
    except ValueError:
        good = False
    if not good:
        raise ValueError("is not of the form https://ADDRESS:6443")
    return text.rstrip("/")


_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
NAME = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_QUALIFIED = r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
LABEL = re.compile(rf"{_QUALIFIED}={_VALUE}")
TAINT = re.compile(rf"{_QUALIFIED}(=?{_VALUE}):(NoSchedule|PreferNoSchedule|NoExecute)")


def matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise ValueError(f"is not {what}")

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in choices:
            return text
        raise ValueError(f"is not one of {', '.join(choices)}")

    return parse


def flag(text: str) -> bool:
    match text.lower():
        case "true" | "yes" | "on" | "1" | "":
            return True
        case "false" | "no" | "off" | "0":
            return False
    raise ValueError("is neither true nor false")


def endpoint(text: str) -> str:
    path = text.removeprefix("unix://")
    if path.startswith("/"):
        return f"unix://{path}"
    raise ValueError("is not the path of a unix socket such as unix:///run/containerd/containerd.sock")


def datastore(text: str) -> str | None:
    if text in ("", "sqlite"):
        return None
    if text.startswith("sqlite://") or text == "memory":
        return text
    raise ValueError("is not a datastore pylet has: sqlite, sqlite://PATH or memory")
