"""`kubectl help`: of a command what its `--help` says."""

from __future__ import annotations

import click

from pylet.cli.kubectl.command import KubectlCommand, arguments
from pylet.cli.kubectl.session import Session


def _run(_: Session, args: tuple[str, ...]) -> None:
    ctx = click.get_current_context().parent
    assert ctx is not None
    for word in args:
        group = ctx.command
        found = group.get_command(ctx, word) if isinstance(group, click.Group) else None
        if found is None:
            print(f'Unknown help topic "{" ".join(args)}"')
            break
        ctx = click.Context(found, parent=ctx, info_name=word)
    print(ctx.get_help())


VERB = KubectlCommand("help", _run, [arguments()], help="Tell of a command.")
