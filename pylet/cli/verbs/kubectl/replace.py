"""`kubectl replace`: put what files say in the place of what is there. Source: cmd/replace."""

from __future__ import annotations

from typing import Any

from pylet.api.errors import NotFound
from pylet.cli.failure import Failure
from pylet.cli.kubectl import deleting, flags, manifests, output, writing
from pylet.cli.kubectl.command import KubectlCommand, number, switch, text
from pylet.cli.kubectl.documents import annotated
from pylet.cli.kubectl.errors import Collected, doing
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.targets import Target


def _run(session: Session, filename: tuple[str, ...], recursive: bool, **options: Any) -> None:
    if options["grace_period"] >= 0 and not options["force"]:
        raise Failure("error: --grace-period must have --force specified")
    if duration_seconds(options["timeout"], "--timeout") and not options["force"]:
        raise Failure("error: --timeout must have --force specified")
    if options["raw"]:
        print(manifests.raw(session, "PUT", options["raw"], filename), end="")
        return
    failures = Collected()
    validation = writing.validation_of(options["validate"])
    for target in manifests.good(session, filename, failures, recursive=recursive, validation=validation):
        failures.attempt(_replace, session, target, options)
    failures.finish()


def _replace(session: Session, target: Target, options: dict[str, Any]) -> None:
    write = _recreate if options["force"] else _update
    with doing("replacing", target.source):
        write(session, target, options)


def _update(session: Session, target: Target, options: dict[str, Any]) -> None:
    dry_run = writing.dry_run(options)
    obj = annotated(target.obj) if options["save_config"] else target.obj
    if dry_run != "client":
        current = session.api.request("GET", target.path)
        meta = obj["metadata"]
        # An object that names no revision replaces whichever is there, and an unchanged one is told as replaced, too.
        version = meta.get("resourceVersion") or current["metadata"]["resourceVersion"]
        obj = session.api.request(
            "PUT",
            target.resource.path(target.namespace, target.name, options["subresource"]),
            query={
                "fieldManager": writing.manager_of(options, "kubectl-replace"),
                "dryRun": "All" if dry_run == "server" else "",
                "fieldValidation": writing.validation_of(options["validate"]),
            },
            body={**obj, "metadata": {**meta, "resourceVersion": version}},
        )
    output.done(obj, "replaced", options["output"], dry_run=dry_run)


def _recreate(session: Session, target: Target, options: dict[str, Any]) -> None:
    grace = max(options["grace_period"], 0)
    try:
        uid = deleting.delete(
            session, target, {"gracePeriodSeconds": grace, "propagationPolicy": deleting.policy(options["cascade"])}
        )
        print(f'{target.resource.label} "{target.name}" deleted{deleting.whence(target)}', flush=True)
        deleting.wait(session, target, uid, deleting.deadline(options["timeout"]))
    except NotFound:
        pass
    manager = writing.manager_of(options, "kubectl-replace")
    made = writing.create(session, target, manager=manager, validation=writing.validation_of(options["validate"]))
    output.done(made, "replaced", options["output"])


VERB = KubectlCommand(
    "replace",
    _run,
    [
        *flags.FILES,
        switch("force", help="Delete and create anew."),
        number("grace-period", default=-1, help="Seconds to end in, with --force."),
        text("timeout", default="0s", help="How long to wait with --force; 0 for long."),
        flags.CASCADE,
        text("raw", help="A path to put a file to as it is."),
        flags.SUBRESOURCE,
        flags.VALIDATE,
        flags.SAVE_CONFIG,
        *flags.WRITING,
    ],
    help="Replace objects by what files say.",
)
