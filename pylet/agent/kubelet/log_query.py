"""What `/logs/?query=` asks of a node's logs: which services' or file's, from when to when, how much. No I/O.

Loaded where the kubelet's configuration says `enableSystemLogQuery`.
Source: upstream `pkg/kubelet/kubelet_server_journal.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from pylet.api import timestamps

_MOST_LINES, _MOST_SERVICES, _LONGEST_NAME = 100_000, 4, 256
_UNSAFE = re.compile(r"[^a-zA-Z\-_.:0-9@]")
_DATE = "%Y-%m-%d %H:%M:%S"
_OWN = ("pylet-server", "pylet-agent")
"""The units in which a kubelet runs here."""


class BadQuery(Exception):
    """`code` is HTTP's: 400 for what cannot be read, 406 for what cannot be asked."""

    def __init__(self, code: int, wrong: Sequence[str]) -> None:
        super().__init__(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")
        self.code = code


@dataclass(frozen=True, slots=True)
class LogQuery:
    services: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    since_time: datetime | None = None
    until_time: datetime | None = None
    tail_lines: int | None = None
    boot: int | None = None
    pattern: str = ""

    @property
    def has_options(self) -> bool:
        return self != LogQuery(self.services, self.files)


def parse(asked: Sequence[tuple[str, str]]) -> LogQuery:
    """Raises: BadQuery."""
    first = dict(reversed(asked))
    wrong: list[str] = []

    def read(name: str, text: str, reads: Callable[[str], Any], why: str) -> Any:
        try:
            return reads(text) if text else None
        except (ValueError, LookupError):
            wrong.append(_invalid(name, text, why.format(text=_json(text))))
            return None

    named = [text for name, text in asked if name == "query"]
    files = tuple(text for text in named if "/" in text or "\\" in text)
    services = tuple(text for text in named if text not in files and text.strip())
    if named and not files and not services:
        wrong.append(_invalid("query", named, "query cannot be empty"))
    number, time = "strconv.Atoi: parsing {text}: invalid syntax", "invalid time format"
    query = LogQuery(
        services,
        files,
        since_time=read("sinceTime", first.get("sinceTime", ""), timestamps.parse, time),
        until_time=read("untilTime", first.get("untilTime", ""), timestamps.parse, time),
        boot=read("boot", first.get("boot", ""), int, number),
        tail_lines=read("tailLines", first.get("tailLines", ""), int, number),
        pattern=first.get("pattern", ""),
    )
    if wrong:
        raise BadQuery(400, wrong)
    if wrong := [*_objections(query)]:
        raise BadQuery(406, wrong)
    return query


def _objections(query: LogQuery) -> Iterator[str]:
    yield from _ill_named(query)
    if query.since_time and query.until_time and query.since_time > query.until_time:
        yield _invalid("untilTime", timestamps.format_time(query.until_time), "must be after `sinceTime`")
    if query.boot is not None and query.boot > 0:
        yield _invalid("boot", query.boot, "must be less than 1")
    if query.tail_lines is not None and not 0 <= query.tail_lines <= _MOST_LINES:
        yield _invalid("tailLines", query.tail_lines, f"must be between 0 and {_MOST_LINES}, inclusive")
    try:
        re.compile(query.pattern)
    except re.error as bad:
        yield _invalid("pattern", query.pattern, f"error parsing regexp: {bad}")


def _ill_named(query: LogQuery) -> Iterator[str]:
    """What is wrong with the services or the file."""
    services, files = query.services, query.files
    for name in services:
        if len(name) > _LONGEST_NAME:
            yield _invalid("query", name, f"length must be less than {_LONGEST_NAME}")
        elif _UNSAFE.search(name):
            yield _invalid("query", name, "input contains unsupported characters")
    if len(services) > _MOST_SERVICES:
        yield f"query: Too many: {len(services)}: must have at most {_MOST_SERVICES} items"
    if not files and not services and query.has_options:
        yield "query: Required value: cannot be empty with options"
    elif files and services:
        both = ", ".join(f"[{' '.join(names)}]" for names in (files, services))
        yield _invalid("query", both, "cannot specify a file and service")
    elif len(files) > 1:
        yield _invalid("query", files, "cannot specify more than one file")
    elif files and query.has_options:
        yield _invalid("query", files, "cannot specify file with options")


def units_of(services: Sequence[str], known: str) -> tuple[str, ...]:
    """Those of `services` that write to the journal, by their units; `known` lists the units that the journal knows.

    A kubelet that is no unit of its own is pylet.
    """
    found: list[str] = []
    for service in services:
        names = (service, *_OWN) if service == "kubelet" else (service,)
        found += [name for name in names if f"{name}.service" in known][:1]
    return tuple(found)


def journal_command(query: LogQuery, units: Sequence[str]) -> list[str]:
    """journalctl(1)."""
    return [
        *("journalctl", "--utc", "--no-pager", "--output=short-precise"),
        *([f"--since={_utc(query.since_time)}"] if query.since_time else []),
        *([f"--until={_utc(query.until_time)}"] if query.until_time else []),
        *([] if query.tail_lines is None else ["--pager-end", f"--lines={query.tail_lines}"]),
        *(f"--unit={unit}" for unit in units),
        *([f"--grep={query.pattern}", "--case-sensitive=false"] if query.pattern else []),
        *([] if query.boot is None else ["--boot", str(query.boot)]),
    ]


def file_names(service: str) -> tuple[str, ...]:
    """Where below /var/log a service that is not in the journal may write, the likeliest first."""
    return service, f"{service}.log", f"{service}/{service}.log"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(_DATE)


def _invalid(field: str, value: Any, why: str) -> str:
    return f"{field}: Invalid value: {_json(value)}: {why}"


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
