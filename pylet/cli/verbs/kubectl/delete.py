"""`kubectl delete`. Source: cmd/delete/delete.go."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

from pylet.api.errors import NotFound
from pylet.api.object import Object
from pylet.cli.failure import Failure, warn
from pylet.cli.kubectl import deleting, flags, output, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, number, switch, text
from pylet.cli.kubectl.errors import HANDLED, Collected, doing
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_IMMEDIATE = (
    "Immediate deletion does not wait for confirmation that the running resource has been terminated. "
    "The resource may continue to run on the cluster indefinitely."
)


def _grace(options: dict[str, Any]) -> int:
    """Seconds, -1 for the objects' own."""
    grace: int = options["grace_period"]
    if options["now"]:
        if grace != -1:
            raise Failure("error: --now and --grace-period cannot be specified together")
        grace = 1
    if options["force"] and grace > 0:
        raise Failure("error: --force and --grace-period greater than 0 cannot be specified together")
    if grace == 0 and not options["force"]:
        grace = 1  # only --force deletes from the API before the node has confirmed
    elif options["force"] and grace < 0:
        grace = 0
    return grace


def _body(options: dict[str, Any], grace: int, dry_run: str) -> Object:
    body: Object = {"propagationPolicy": deleting.policy(options["cascade"])}
    if grace >= 0:
        body["gracePeriodSeconds"] = grace
    if dry_run == "server":
        body["dryRun"] = ["All"]
    return body


def _run(session: Session, args: tuple[str, ...], raw: str, **options: Any) -> None:
    if raw:
        print(session.api.raw("DELETE", raw), end="")
        return
    if options["all"] and options["selector"]:
        raise Failure("error: cannot set --all and --selector at the same time")
    if options["output"] not in ("", "name"):
        raise Failure(f"error: unexpected -o output mode: {options['output']}. We only support '-o name'")
    grace, dry_run = _grace(options), writing.dry_run(options)
    body = _body(options, grace, dry_run)
    if grace == 0 and options["force"]:
        warn(_IMMEDIATE)
    failures = Collected()
    deleted: list[tuple[Target, str]] = []
    surprises = session.namespace_given and not options["filename"]
    is_any = False
    found = _warned(writing.named(session, args, options, failures), surprises=surprises)
    if options["interactive"]:
        found = iter(_confirmed(list(found)))
    for target in found:
        is_any = True
        uid = _deleted(session, target, body, options, failures) if dry_run != "client" else ""
        if uid is not None:
            deleted.append((target, uid))
            _say(target, options, "force deleted" if grace == 0 else "deleted", dry_run)
    if not is_any and not failures:
        print("No resources found")
    if options["wait"] and dry_run == "none" and not failures:
        deadline = deleting.deadline(options["timeout"])
        for target, uid in deleted:
            deleting.wait(session, target, uid, deadline)
    failures.finish()


def _confirmed(found: list[Target]) -> list[Target]:
    """What the person wants deleted: all of it or nothing."""
    if not found:
        return found
    print(f"You are about to delete the following {len(found)} resource(s):")
    for target in found:
        print(target.label)
    print("Do you want to continue? (y/N): ", end="", flush=True)
    if sys.stdin.readline().strip().lower() == "y":
        return found
    print("deletion is cancelled")
    raise Failure(status=0)


def _warned(found: Iterable[Target], *, surprises: bool) -> Iterator[Target]:
    """With a word at the first that is in no namespace, where one was given."""
    for target in found:
        if surprises and not target.resource.namespaced:
            warn("deleting cluster-scoped resources, not scoped to the provided namespace")
            surprises = False
        yield target


def _deleted(
    session: Session, target: Target, body: Object, options: dict[str, Any], failures: Collected
) -> str | None:
    """The uid of what is deleted; None where it could not be, which `failures` know if it matters."""
    try:
        with doing("deleting", target.source) if target.source else nullcontext():
            return deleting.delete(session, target, body)
    except HANDLED as error:
        is_ignored = options["ignore_not_found"] or options["all"] or options["selector"]
        if not (is_ignored and isinstance(error, NotFound)):
            failures.add(error)
        return None


def _say(target: Target, options: dict[str, Any], operation: str, dry_run: str) -> None:
    if options["output"] == "name":
        print(target.label)
        return
    end = deleting.whence(target) + output.rehearsed(dry_run)
    print(f'{target.resource.label} "{target.name}" {operation}{end}', flush=True)


VERB = KubectlCommand(
    "delete",
    _run,
    [
        *flags.CHOOSING,
        text("output", "o", help="name"),
        flags.DRY_RUN,
        switch("now", help="A grace period of one second."),
        switch("force", help="Delete without waiting for the node."),
        number("grace-period", default=-1, help="Seconds to end in; -1 leaves it to the object."),
        switch("wait", default=True, help="Wait until the objects are gone."),
        text("timeout", default="0s", help="How long to wait; 0 for long."),
        flags.CASCADE,
        switch("interactive", "i", help="Ask before anything is deleted."),
        text("raw", help="A path to delete as it is."),
        switch("ignore-not-found", help="What is absent is no error."),
        arguments(),
    ],
    help="Delete objects.",
)
