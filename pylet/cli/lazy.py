"""A click group whose commands are the modules of a package, loaded when asked for: each declares `VERB`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import click


class LazyGroup(click.Group):
    """`check_config.py` is the command `check-config`. Without a package it is an ordinary group."""

    def __init__(self, *args: Any, package: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        if not self._package:
            return super().list_commands(ctx)
        paths = importlib.import_module(self._package).__path__
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(paths))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if not self._package:
            return super().get_command(ctx, cmd_name)
        module = f"{self._package}.{cmd_name.replace('-', '_')}"
        if not cmd_name.replace("-", "").isalnum():
            return None
        try:
            verb: click.Command = importlib.import_module(module).VERB
        except ModuleNotFoundError as error:
            if error.name == module:
                return None
            raise
        return verb
