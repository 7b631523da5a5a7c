"""`kubectl edit`: objects in the editor, and what was changed back to the server. Source: cmd/util/editor."""

from __future__ import annotations

from functools import partial
from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import applying, flags, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, switch, text
from pylet.cli.kubectl.documents import annotated, to_compact_json
from pylet.cli.kubectl.editing import Edit
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    failures = Collected()
    found = list(writing.choose(session, args, options, failures, everything=True))
    failures.finish()
    if not found:
        raise Failure("error: edit cancelled, no objects found")
    Edit(found, options, partial(_send, session, options)).run()


def _send(session: Session, options: dict[str, Any], target: Target, before: Object, wanted: Object) -> Object:
    if annotation := writing.cause(session, options):
        meta = wanted["metadata"]
        wanted = {**wanted, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), **annotation}}}
    patch, type_ = applying.three_way(before, annotated(wanted) if options["save_config"] else wanted, before)
    if options["output_patch"]:
        print(f"Patch: {to_compact_json(patch)}")
    return writing.patch(
        session,
        target,
        patch,
        type_=type_,
        manager=writing.manager_of(options, "kubectl-edit"),
        subresource=options["subresource"],
        fieldValidation=writing.validation_of(options["validate"]),
    )


VERB = KubectlCommand(
    "edit",
    _run,
    [
        text("output", "o", help="yaml or json, to edit and to print"),
        flags.VALIDATE,
        flags.SUBRESOURCE,
        flags.SAVE_CONFIG,
        switch("output-patch", help="Print what is sent."),
        switch("windows-line-endings", help="Lines of the file end as on Windows."),
        flags.RECORD,
        flags.SHOW_MANAGED_FIELDS,
        *flags.CHOOSING,
        flags.FIELD_MANAGER,
        arguments(),
    ],
    help="Edit objects in $KUBE_EDITOR, $EDITOR or vi.",
)
