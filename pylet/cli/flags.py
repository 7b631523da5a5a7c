"""The options of `pylet server` and `pylet agent` as click parameters: text in, text out, judged elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pylet.cli.options import Option, Shape, default_text, options_of, split


def parameters(command: str) -> list[click.Parameter]:
    config = click.Option(
        ["-c", "--config", "config_file"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Configuration file, with drop-ins in FILE.d.  [default: /etc/pylet/config.yaml; env: PYLET_CONFIG_FILE]",
    )
    return [config, *map(_parameter, options_of(command))]


def _parameter(option: Option) -> click.Option:
    names = [f"--{option.name}", option.field] + ([f"-{option.short}"] if option.short else [])
    default = default_text(option)
    help_ = f"{option.help}  [{f'default: {default}; ' if default else ''}env: {option.env}]"
    match option.shape:
        case Shape.FLAG:
            return click.Option(names, is_flag=False, flag_value="true", default=None, metavar="[BOOL]", help=help_)
        case Shape.MANY:
            return click.Option(names, multiple=True, metavar=option.metavar, help=help_)
        case Shape.ONE:
            return click.Option(names, metavar=option.metavar, help=help_)


def given(command: str, params: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The options that stand on the command line, by their names."""
    found = {}
    for option in options_of(command):
        value = params.get(option.field)
        texts = [value] if isinstance(value, str) else list(value or ())
        if texts:
            found[option.name] = split(option, texts)
    return found


def require_root() -> str | None:
    """Why this process can't be a node, as a line; None when it can."""
    return None if os.geteuid() == 0 else "must run as root: a node mounts and makes networks"


def require_writable(folder: Path, flag: str) -> str | None:
    """Why this process can't make or write `folder`, as a line; None when it can."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        return f"--{flag}: {existing} is not a folder"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"--{flag}: no permission to write {folder}: run as root, or choose another place with --{flag}"
    return None
