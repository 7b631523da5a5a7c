"""`kubectl apply`: three-way merge with the last applied configuration, or server-side. Source: cmd/apply."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import click

from pylet.api.errors import NotFound
from pylet.api.object import Object, annotations_of
from pylet.cli.failure import Failure
from pylet.cli.kubectl import applying, deleting, flags, manifests, output, pruning, writing
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, number, switch, text
from pylet.cli.kubectl.documents import LAST_APPLIED, as_list, to_compact_json, to_yaml
from pylet.cli.kubectl.editing import Edit
from pylet.cli.kubectl.errors import HANDLED, Collected, misused
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_EDIT_HEADER = """\
# Please edit the 'last-applied-configuration' annotations below.
# Lines beginning with a '#' will be ignored, and an empty file will abort the edit.
#
"""


def _run(session: Session, filename: tuple[str, ...], recursive: bool, **options: Any) -> None:
    if options["kustomize"]:
        raise Failure(
            f"error: -k {options['kustomize']}: kustomizations are not built here: run `kustomize build "
            f"{options['kustomize']} | pylet kubectl apply -f -`, or use an unmodified kubectl"
        )
    _refuse(options)
    apply = applying.Applier(session, options)
    failures = Collected()
    found = manifests.good(
        session,
        filename,
        failures,
        recursive=recursive,
        labels=options["selector"],
        validation=apply.validation,
    )
    if not found and not failures:
        raise Failure("error: no objects passed to apply")
    results: list[Object] = []
    for target in found:
        try:
            obj, operation = apply.one(target)
        except (Failure, *HANDLED) as error:
            failures.add(error)
            continue
        results.append(obj)
        if not options["output"]:
            output.done(obj, operation, dry_run=apply.dry_run)
    if options["output"] and results:
        whole = results[0] if len(results) == 1 else as_list(results)
        print(output.printer(options["output"])(whole), end="")
    failures.finish()
    if options["prune"]:
        namespaces = {target.namespace for target in found if target.resource.namespaced}
        _prune(session, {obj["metadata"].get("uid", "") for obj in results}, namespaces, options)


def _refuse(options: dict[str, Any]) -> None:
    """What contradicts itself. Raises: Failure."""
    dry_run = writing.dry_run(options)
    for is_wrong, told in (
        (options["force_conflicts"] and not options["server_side"], "--force-conflicts only works with --server-side"),
        (
            dry_run == "client" and options["server_side"],
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)",
        ),
        (options["server_side"] and options["force"], "--force cannot be used with --server-side"),
        (dry_run == "server" and options["force"], "--dry-run=server cannot be used with --force"),
        (options["all"] and options["selector"], "cannot set --all and --selector at the same time"),
        (options["prune"] and options["force"], "--force cannot be used with --prune"),
        (
            options["prune"] and not options["all"] and not options["selector"],
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all "
            "flag. If you did not mean to prune all resources, specify a label selector",
        ),
        (
            options["prune"] and options["server_side"],
            "--prune is in alpha and doesn't currently work on objects created by server-side apply",
        ),
        (
            options["subresource"] and not options["server_side"],
            "--subresource can only be specified for --server-side",
        ),
    ):
        if is_wrong:
            raise Failure(f"error: {told}")


def _prune(session: Session, kept: set[str], namespaces: set[str], options: dict[str, Any]) -> None:
    dry_run = writing.dry_run(options)
    if session.namespace_given:
        namespaces = {*namespaces, session.namespace}
    body: Object = {"propagationPolicy": deleting.policy(options["cascade"])}
    if options["grace_period"] >= 0:
        body["gracePeriodSeconds"] = options["grace_period"]
    if dry_run == "server":
        body["dryRun"] = ["All"]
    labels, allowlist = options["selector"], options["prune_allowlist"]
    for target in pruning.left_behind(session, kept, namespaces, labels=labels, allowlist=allowlist):
        if dry_run != "client":
            deleting.delete(session, target, body)
        output.done(target.obj, "pruned", options["output"], dry_run=dry_run)


def _view(session: Session, args: tuple[str, ...], output: str, **options: Any) -> None:
    if output not in ("yaml", "json"):
        told = f"Unexpected -o output mode: {output}, the flag 'output' must be one of yaml|json"
        raise misused(session.command, told)
    failures = Collected()
    for target in writing.choose(session, args, options, failures):
        if LAST_APPLIED not in annotations_of(target.obj):
            raise Failure(f"error: no last-applied-configuration annotation found on resource: {target.name}")
        applied = json.loads(annotations_of(target.obj)[LAST_APPLIED])
        print(
            to_yaml(applied) if output == "yaml" else json.dumps(applied, indent=2, ensure_ascii=False) + "\n", end=""
        )
    failures.finish()


def _set(session: Session, filename: tuple[str, ...], create_annotation: bool, **options: Any) -> None:
    changed = []
    for target in manifests.targets(session, filename):
        try:
            current = session.api.request("GET", target.path)
        except NotFound as error:
            raise Failure(f"Error from server (NotFound): {error}") from None
        now = annotations_of(current).get(LAST_APPLIED)
        if now is None and not create_annotation:
            raise Failure(
                f"error: no last-applied-configuration annotation found on resource: {target.name}, to create the "
                "annotation, run the command with --create-annotation"
            )
        wanted = to_compact_json(target.obj) + "\n"
        if now == wanted:
            print(f"set-last-applied {target.name}: no changes required.")
        else:
            changed.append((target, current, wanted))
    dry_run = writing.dry_run(options)
    for target, current, wanted in changed:
        obj = current
        if dry_run != "client":
            patch = {"metadata": {"annotations": {LAST_APPLIED: wanted}}}
            obj = writing.patch(session, target, patch, manager="", dry_run=dry_run)
        output.done(obj, "configured", options["output"], dry_run=dry_run)


def _edit(session: Session, args: tuple[str, ...], **options: Any) -> None:
    failures = Collected()
    found = [(each, annotations_of(each.obj)) for each in writing.choose(session, args, options, failures)]
    failures.finish()
    applied = [replace(target, obj=json.loads(has[LAST_APPLIED])) for target, has in found if LAST_APPLIED in has]
    if not applied:
        raise Failure(
            "error: no last-applied-configuration annotation found on resources, to create the annotation, use command "
            "`kubectl apply set-last-applied --create-annotation`"
        )

    def send(target: Target, _: Object, wanted: Object) -> Object:
        note = {**writing.cause(session, options), LAST_APPLIED: to_compact_json(wanted) + "\n"}
        manager = writing.manager_of(options, "kubectl-client-side-apply")
        writing.patch(session, target, {"metadata": {"annotations": note}}, manager=manager)
        return wanted

    Edit(applied, options, send, _EDIT_HEADER).run()


class _Apply(KubectlGroup):
    """A group that is a command itself when none of its commands is named."""

    def __init__(self) -> None:
        super().__init__("apply", help="Make objects what files say.")
        self.add_command(
            KubectlCommand(
                "view-last-applied",
                _view,
                [
                    text("output", "o", default="yaml", help="yaml or json"),
                    *flags.CHOOSING,
                    arguments(),
                ],
                help="Show what was applied last.",
            )
        )
        self.add_command(
            KubectlCommand(
                "edit-last-applied",
                _edit,
                [
                    text("output", "o", help="yaml or json, to edit and to print"),
                    text("validate", default="strict", bare="strict", help="Accepted; nothing but a text is sent."),
                    switch("windows-line-endings", help="Lines of the file end as on Windows."),
                    flags.FIELD_MANAGER,
                    flags.RECORD,
                    *flags.CHOOSING,
                    arguments(),
                ],
                help="Edit what was applied last in $KUBE_EDITOR, $EDITOR or vi.",
            )
        )
        self.add_command(
            KubectlCommand(
                "set-last-applied",
                _set,
                [
                    flags.FILENAME,
                    switch("create-annotation", help="Also where nothing was applied."),
                    flags.OUTPUT,
                    flags.DRY_RUN,
                ],
                help="Have files count as what was applied last.",
            )
        )
        self._files = KubectlCommand(
            "apply",
            _run,
            [
                flags.FILENAME,
                text("kustomize", "k", help="Refused; see what it says."),
                flags.RECURSIVE,
                flags.SELECTOR,
                switch("all", help="With --prune: of whatever labels."),
                *flags.PRUNING,
                switch("server-side", help="Merge on the server."),
                switch("force-conflicts", help="Take over fields of other managers."),
                switch("force", help="Delete and create anew what can not be changed."),
                number("grace-period", default=-1, help="Seconds to end in, of what is deleted."),
                text("timeout", default="0s", help="How long to wait for what is deleted; 0 for long."),
                flags.CASCADE,
                text("subresource", help="status, scale, …, with --server-side."),
                flags.VALIDATE,
                switch("overwrite", default=True, help="Accepted; conflicts with the live object are overwritten."),
                *flags.WRITING,
                flags.RECORD,
            ],
            help="Make objects what files say.",
        )

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in self.commands:
            return super().make_context(info_name, args, parent, **extra)
        return self._files.make_context(info_name, args, parent, **extra)


VERB = _Apply()
