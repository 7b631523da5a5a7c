"""Nodes by name or selector, and closing them to new pods: what `cordon`, `uncordon` and `drain` share.

Source: kubectl `pkg/drain/cordon.go`, `cmd/drain/drain.go`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, output, targets, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, text
from pylet.cli.kubectl.errors import HANDLED, misused
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Listed, Named, Target


def chosen(session: Session, args: Sequence[str], selector: str | None, verb: str, *, page: int = 500) -> list[Target]:
    """`selector` None was not given. Raises: Failure, ApiError."""
    if not args and selector is None:
        raise misused(session.command, f"USAGE: {verb} NODE [flags]")
    if not args and not selector:
        raise Failure(targets.NO_RESOURCE)
    if args and selector:
        raise misused(session.command, "cannot specify both a node name and a --selector option")
    asks: list[targets.Ask] = [_named(session, arg) for arg in args] or [Listed(session.catalog.find("nodes"))]
    found = targets.fetch(session, asks, labels=selector or "", page=page)
    for target in found:
        if target.resource.kind != "Node":
            raise Failure(f'error: expected resource of type node, got "{target.resource.shown}"')
    return found


def _named(session: Session, arg: str) -> Named:
    type_, slash, name = arg.partition("/")
    return Named(session.catalog.find(type_ if slash else "nodes"), name if slash else arg)


def mark(session: Session, nodes: Sequence[Target], *, unschedulable: bool, dry_run: str) -> None:
    """Patches those that are not yet so, and says for each what was done."""
    word = "cordoned" if unschedulable else "uncordoned"
    for node in nodes:
        done = word
        if bool(node.obj.get("spec", {}).get("unschedulable")) == unschedulable:
            done = f"already {word}"
        elif dry_run != "client":
            body = {"spec": {"unschedulable": True if unschedulable else None}}
            try:
                writing.patch(session, node, body, type_=writing.STRATEGIC, manager="kubectl", dry_run=dry_run)
            except HANDLED as error:
                verb = word.removesuffix("ed")
                print(f"error: unable to {verb} node {json.dumps(node.name)}: {error}", file=sys.stderr)
                continue
        output.done(node.obj, done, dry_run=dry_run)


FLAGS = (text("selector", "l", default=None, help="Label selector."), flags.DRY_RUN, arguments())


def command(verb: str, *, unschedulable: bool) -> KubectlCommand:
    def run(session: Session, args: tuple[str, ...], selector: str | None, dry_run: str) -> None:
        found = chosen(session, args, selector, verb)
        mark(session, found, unschedulable=unschedulable, dry_run=output.dry_run_of(dry_run))

    return KubectlCommand(
        verb, run, FLAGS, help=f"Mark nodes as {'un' if unschedulable else ''}schedulable for new pods."
    )
