"""`pylet agent`: a node that joins a server."""

import os
from pathlib import Path
from typing import Any

import click

from pylet.api import jointoken
from pylet.cli.configuration import load_agent
from pylet.cli.failure import Failure
from pylet.cli.flags import given, parameters, require_root, require_writable
from pylet.cli.options import BadOption


def _run(config_file: Path | None, **params: Any) -> None:
    try:
        config = load_agent(given("agent", params), config_file, os.environ)
        if config.token is not None:
            jointoken.parse(config.token)
    except (BadOption, jointoken.BadToken) as error:
        raise Failure(f"pylet agent: {error}", 2) from None
    if trouble := (not config.hollow and require_root()) or require_writable(config.data_dir, "data-dir"):
        raise Failure(f"pylet agent: {trouble}", 2)
    try:
        from pylet.agent import run
    except ModuleNotFoundError as error:
        raise Failure(f"pylet agent: the Python package {error.name} is missing: install pylet again", 2) from None
    run.main(config)


VERB = click.Command("agent", callback=_run, params=parameters("agent"), help="Run a node and join it to a server.")
