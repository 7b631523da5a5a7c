"""`pylet check-config`: whether this machine and its settings are fit for pylet; a line for each finding."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pylet.cli.configuration import load_agent, load_server
from pylet.cli.failure import Failure
from pylet.cli.flags import require_root
from pylet.cli.options import BadOption, unknown_variables

_COMMANDS = {
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "conntrack": "conntrack",
}
_PLUGINS = ("bridge", "host-local", "loopback")
_CONTROLLERS = ("cpu", "memory", "pids")


def _run(role: str, config_file: Path | None) -> None:
    findings = [*_settings(role, config_file), *_machine()]
    for is_good, words in findings:
        print(f"{'ok  ' if is_good else 'FAIL'} {words}")
    if not all(is_good for is_good, _ in findings):
        raise Failure("", 2)


def _settings(role: str, config_file: Path | None) -> Iterator[tuple[bool, str]]:
    load: Any = load_server if role == "server" else load_agent
    try:
        load({}, config_file, os.environ)
    except BadOption as bad:
        yield False, str(bad)
    else:
        yield True, f"settings of the {role}"
    yield from ((False, str(bad)) for bad in unknown_variables(os.environ))


def _machine() -> Iterator[tuple[bool, str]]:
    trouble = require_root()
    yield trouble is None, trouble or "runs as root"
    for command, package in _COMMANDS.items():
        there = shutil.which(command) is not None
        yield there, f"command {command}" if there else f"command {command} is missing: install the package {package}"
    folders = [folder for folder in (Path("/usr/lib/cni"), Path("/opt/cni/bin")) if folder.is_dir()]
    missing = [plugin for plugin in _PLUGINS if not any((folder / plugin).exists() for folder in folders)]
    package = "install the package containernetworking-plugins"
    yield not missing, f"CNI plugins {', '.join(missing)} are missing: {package}" if missing else "CNI plugins"
    lacking = [name for name in _CONTROLLERS if not _has_controller(name)]
    yield not lacking, f"cgroup controllers are off: {', '.join(lacking)}" if lacking else "cgroup controllers"
    overlay = "overlay" in Path("/proc/filesystems").read_text() or shutil.which("modprobe") is not None
    yield overlay, "overlay file system" if overlay else "the kernel has no overlay file system"


def _has_controller(name: str) -> bool:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        return name in unified.read_text().split()
    return any(entry.name == name for entry in Path("/sys/fs/cgroup").iterdir())


VERB = click.Command(
    "check-config",
    callback=_run,
    params=[
        click.Option(["--role"], type=click.Choice(["server", "agent"]), default="server", show_default=True),
        click.Option(["-c", "--config", "config_file"], type=click.Path(path_type=Path), metavar="FILE"),
    ],
    help="Check this machine and its settings. Exits with 2 where something required is missing or wrong.",
)
