"""`kubectl scale`. Source: cmd/scale/scale.go."""

from __future__ import annotations

from functools import partial
from typing import Any

from pylet.cli.failure import Failure
from pylet.cli.kubectl import output, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, number
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target


def _run(session: Session, args: tuple[str, ...], replicas: int, current_replicas: int, **options: Any) -> None:
    if replicas < 0:
        raise Failure("error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    failures = Collected()
    found = writing.choose(session, args, options, failures)
    if not found:
        raise Failure("error: no objects passed to scale")
    dry_run = writing.dry_run(options)

    def scale(target: Target) -> None:
        now = (target.obj.get("spec") or {}).get("replicas")
        if current_replicas >= 0 and now != current_replicas:
            raise Failure(f"error: Expected replicas to be {current_replicas}, was {now}")
        if dry_run != "client":
            manager = writing.manager_of(options, "kubectl-scale")
            body = {"spec": {"replicas": replicas}}
            writing.patch(session, target, body, manager=manager, dry_run=dry_run, subresource="scale")
            writing.record(session, target, target.obj, options, manager=manager)
        output.done(target.obj, "scaled", options["output"], dry_run=dry_run)

    for target in found:
        failures.attempt(partial(scale, target))
    failures.finish()


VERB = KubectlCommand(
    "scale",
    _run,
    [
        number("replicas", default=-1, help="How many there shall be."),
        number("current-replicas", default=-1, help="Scale only from this number."),
        *writing.choosing(),
        *writing.writing(),
        writing.recording(),
        arguments(),
    ],
    help="Change the number of replicas.",
)
