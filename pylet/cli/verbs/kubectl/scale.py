"""`kubectl scale`. Source: cmd/scale/scale.go."""

from __future__ import annotations

import json
import time
from typing import Any

from pylet.api.errors import Conflict
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, output, watching, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, number, text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.targets import Target


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    replicas, current = options["replicas"], options["current_replicas"]
    if replicas == -1:
        raise Failure('error: required flag(s) "replicas" not set')
    if replicas < 0:
        raise Failure("error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    if current < -1:
        raise Failure("error: The --current-replicas must specify an integer of -1 or greater")
    timeout = duration_seconds(options["timeout"], "--timeout")
    failures = Collected()
    found = list(writing.choose(session, args, options, failures))
    if options["resource_version"] and len(found) > 1:
        raise Failure("error: cannot use --resource-version with multiple resources")
    dry_run = writing.dry_run(options)
    for target in found:
        if dry_run != "client":
            _scale(session, target, options, dry_run)
            if timeout and dry_run == "none":
                _wait(session, target, replicas, time.monotonic() + timeout)
            writing.record(session, target, target.obj, options, manager=_manager(options))
        output.done(_scaled(target, replicas), "scaled", options["output"], dry_run=dry_run)
    failures.finish()
    if not found:
        raise Failure("error: no objects passed to scale")


def _scale(session: Session, target: Target, options: dict[str, Any], dry_run: str) -> None:
    """Raises: Failure, where it is not as it was expected to be; ApiError."""
    body: Object = {"spec": {"replicas": options["replicas"]}}
    is_conditional = options["current_replicas"] >= 0 or options["resource_version"]
    while True:
        if is_conditional:
            scale = _scale_of(session, target)
            _expect("replicas", options["current_replicas"], scale["spec"].get("replicas", 0), unless=-1)
            version = scale["metadata"]["resourceVersion"]
            _expect("resource version", options["resource_version"], version, unless="")
            body["metadata"] = {"resourceVersion": version}
        try:
            manager = _manager(options)
            writing.patch(session, target, body, manager=manager, dry_run=dry_run, subresource="scale")
        except Conflict:
            continue
        return


def _scale_of(session: Session, target: Target) -> Object:
    scale: Object = session.api.request("GET", target.resource.path(target.namespace, target.name, "scale"))
    return scale


def _expect(what: str, wanted: object, found: object, *, unless: object) -> None:
    if wanted not in (unless, found):
        raise Failure(f"error: Expected {what} to be {wanted}, was {found}")


def _wait(session: Session, target: Target, replicas: int, deadline: float) -> None:
    """Until there are so many, or somebody wants another number. Raises: Failure at the deadline."""
    for _ in watching.states(session.api, target, deadline):
        scale = _scale_of(session, target)
        if scale["spec"].get("replicas", 0) != replicas or scale["status"].get("replicas", 0) == replicas:
            return
    raise Failure(f"error: timed out waiting for {json.dumps(target.name)} to be synced")


def _scaled(target: Target, replicas: int) -> Object:
    """The object as it was, but for a number whose place is known."""
    if target.resource.group not in ("", "apps"):
        return target.obj
    return {**target.obj, "spec": {**target.obj["spec"], "replicas": replicas}}


def _manager(options: dict[str, Any]) -> str:
    return writing.manager_of(options, "kubectl-scale")


VERB = KubectlCommand(
    "scale",
    _run,
    [
        number("replicas", default=-1, help="How many there shall be."),
        number("current-replicas", default=-1, help="Scale only from this number."),
        flags.RESOURCE_VERSION,
        text("timeout", default="0s", help="How long to wait until there are so many; 0 not at all."),
        *flags.CHOOSING,
        *flags.WRITING,
        flags.RECORD,
        arguments(),
    ],
    help="Change the number of replicas.",
)
