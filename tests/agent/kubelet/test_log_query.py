"""`/logs/?query=`: what may be asked of a node's logs, which journalctl answers, and where else services may write."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from pylet.agent.kubelet import service_logs
from pylet.agent.kubelet.log_query import BadQuery, journal_command, parse, units_of

PLAIN = ["journalctl", "--utc", "--no-pager", "--output=short-precise"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("query=kubelet", "--unit=kubelet"),
        ("query=kubelet&query=containerd", "--unit=kubelet --unit=containerd"),
        ("query=a&tailLines=3&boot=-1", "--pager-end --lines=3 --unit=a --boot -1"),
        ("query=a&pattern=x.*y", "--unit=a --grep=x.*y --case-sensitive=false"),
    ],
    ids=["a service", "several", "the last of a boot", "a pattern"],
)
def test_what_is_asked_is_asked_of_the_journal(asked: str, expected: str) -> None:
    query = parse(parse_qsl(asked, keep_blank_values=True))
    assert journal_command(query, query.services) == [*PLAIN, *expected.split()]


def test_moments_are_told_to_the_journal_in_utc() -> None:
    query = parse([("query", "a"), ("sinceTime", "2026-01-02T03:04:05+02:00"), ("untilTime", "2026-01-02T03:04:05Z")])
    assert journal_command(query, ["a"])[4:6] == ["--since=2026-01-02 01:04:05", "--until=2026-01-02 03:04:05"]


@pytest.mark.parametrize(
    ("asked", "code", "why"),
    [
        ("query", 400, 'query: Invalid value: [""]: query cannot be empty'),
        ("boot=0", 406, "query: Required value: cannot be empty with options"),
        ("query=a&sinceTime=now", 400, 'sinceTime: Invalid value: "now": invalid time format'),
        ("query=a&boot=x", 400, 'boot: Invalid value: "x": strconv.Atoi: parsing "x": invalid syntax'),
        ("query=a&boot=1", 406, "boot: Invalid value: 1: must be less than 1"),
        ("query=a&tailLines=-1", 406, "tailLines: Invalid value: -1: must be between 0 and 100000, inclusive"),
        ("query=a%20--file", 406, 'query: Invalid value: "a --file": input contains unsupported characters'),
        ("query=a&query=b&query=c&query=d&query=e", 406, "query: Too many: 5: must have at most 4 items"),
        ("query=/a&query=b", 406, 'query: Invalid value: "[/a], [b]": cannot specify a file and service'),
        ("query=/a&query=/b", 406, 'query: Invalid value: ["/a","/b"]: cannot specify more than one file'),
        ("query=/a&boot=0", 406, 'query: Invalid value: ["/a"]: cannot specify file with options'),
        ("query=a&pattern=(", 406, 'pattern: Invalid value: "(": error parsing regexp'),
        (
            "query=a&sinceTime=2026-01-02T03:04:05Z&untilTime=2026-01-01T03:04:05Z",
            406,
            'untilTime: Invalid value: "2026-01-01T03:04:05Z": must be after `sinceTime`',
        ),
        ("query=a&boot=1&tailLines=-1", 406, "[boot: Invalid value: 1: must be less than 1, tailLines: Invalid"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: str, code: int, why: str) -> None:
    with pytest.raises(BadQuery) as refused:
        parse(parse_qsl(asked, keep_blank_values=True))
    assert (refused.value.code, str(refused.value)[: len(why)]) == (code, why)


def test_a_kubelet_that_is_no_unit_of_its_own_is_pylet() -> None:
    assert units_of(["kubelet", "ssh"], "ssh.service\npylet-agent.service") == ("pylet-agent", "ssh")
    assert units_of(["kubelet"], "kubelet.service\npylet-agent.service") == ("kubelet",)
    assert units_of(["kubelet"], "") == ()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("query=one", b"of one"),
        ("query=two", b"of two"),
        ("query=three&query=two", b"of threeof two"),
        ("query=none", b"\nlog not found for none\n"),
        ("query=shadow", b"\nlog not found for shadow\n"),
        (
            "query=two&tailLines=3",
            b"\noptions present and query resolved to log files for [two]\ntry without specifying options\n",
        ),
    ],
    ids=["its name", "its name.log", "in its own folder", "nowhere", "a link out", "options"],
)
async def test_who_is_not_in_the_journal_is_read_from_a_file(
    asked: str, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no journalctl
    (tmp_path / "secret").write_bytes(b"of the node")
    top = tmp_path / "log"
    (top / "three").mkdir(parents=True)
    (top / "one").write_bytes(b"of one")
    (top / "two.log").write_bytes(b"of two")
    (top / "three" / "three.log").write_bytes(b"of three")
    (top / "shadow").symlink_to(tmp_path / "secret")
    said = bytearray()

    async def write(piece: bytes) -> None:
        said.extend(piece)

    await service_logs.tell(parse(parse_qsl(asked)), top, write)
    assert bytes(said) == expected


async def test_what_is_in_the_journal_comes_before_what_is_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "journalctl"
    program.write_text('#!/bin/sh\ncase $* in *_SYSTEMD_UNIT) echo ssh.service;; *) echo "$@";; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "one").write_bytes(b"of one")
    said = bytearray()

    async def write(piece: bytes) -> None:
        said.extend(piece)

    await service_logs.tell(parse([("query", "one"), ("query", "ssh")]), tmp_path, write)
    assert bytes(said) == b"--utc --no-pager --output=short-precise --unit=ssh\nof one"
