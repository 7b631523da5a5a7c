"""`kubectl edit`: objects in the editor, and what was changed back to the server. Source: cmd/util/editor."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import editing, output, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, switch, text
from pylet.cli.kubectl.documents import annotated, as_list, to_compact_json, to_json, to_yaml, without_managed_fields
from pylet.cli.kubectl.errors import HANDLED, Collected, as_failure
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    if options["output"] not in ("yaml", "json"):
        raise Failure("error: The flag 'output' must be one of yaml|json")
    failures = Collected()
    found = list(writing.choose(session, args, options, failures, everything=True))
    failures.finish()
    if not found:
        print("Edit cancelled, no objects found.", file=sys.stderr)
        return
    _Edit(session, found, options).run()


class _Edit:
    """Objects in one file: edited until the server takes them, the person gives up, or repeats what was refused."""

    def __init__(self, session: Session, targets: list[Target], options: dict[str, Any]) -> None:
        self.session = session
        self.targets = targets
        self.options = options
        write = to_json if options["output"] == "json" else to_yaml
        objects = [target.obj for target in targets]
        shown = objects[0] if len(objects) == 1 else as_list(objects)
        self.original = write(shown if options["show_managed_fields"] else without_managed_fields(shown))

    def run(self) -> None:
        """Raises: Failure."""
        text_, reasons = self.original, ""
        while True:
            edited = self._edited(editing.HEADER + reasons + text_)
            if edited == text_ or not edited.strip():
                self._give_up(edited, reasons)
                return
            text_ = edited
            try:
                self._save(edited)
            except Failure as failure:
                reasons = "".join(f"# {line}\n" for line in failure.message.splitlines()) + "#\n"
            else:
                return

    def _edited(self, text_: str) -> str:
        return editing.edited(
            text_, suffix=self.options["output"], windows_line_endings=self.options["windows_line_endings"]
        )

    def _give_up(self, edited: str, reasons: str) -> None:
        if not reasons:
            editing.cancelled(edited)
            return
        with tempfile.NamedTemporaryFile("w", prefix="kubectl-edit-", suffix=".yaml", delete=False) as file:
            file.write(reasons + edited)
        told = reasons.replace("# ", "").replace("#\n", "").rstrip("\n")
        raise Failure(
            f'{told}\nA copy of your changes has been stored to "{file.name}"\nerror: Edit cancelled, no valid changes '
            "were saved."
        )

    def _save(self, edited: str) -> None:
        """Raises: Failure, with what is wrong."""
        import yaml

        try:
            wanted: Any = yaml.load(edited, yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise Failure(f"error: yaml: {' '.join(str(error).split())}") from None
        if not isinstance(wanted, dict):
            raise Failure("error: the edited file holds no object")
        before = {_identity(obj): obj for obj in output.items_of(yaml.load(self.original, yaml.CSafeLoader))}
        changed = [(_identity(obj), obj) for obj in output.items_of(wanted) if obj not in before.values()]
        if any(identity not in before for identity, _ in changed):
            raise Failure("error: At least one of apiVersion, kind and name was changed")
        if not changed:
            editing.cancelled(edited)
        for identity, obj in changed:
            target = next(target for target in self.targets if _identity(target.obj) == identity)
            self._send(target, before[identity], obj)

    def _send(self, target: Target, before: Object, wanted: Object) -> None:
        """Raises: Failure, with what is wrong."""
        from pylet.api.patch import merge

        if annotation := writing.cause(self.session, self.options):
            meta = wanted["metadata"]
            wanted = {**wanted, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), **annotation}}}
        patch = merge.three_way(before, annotated(wanted) if self.options["save_config"] else wanted, before)
        if self.options["output_patch"]:
            print(f"Patch: {to_compact_json(patch)}")
        try:
            obj = writing.patch(
                self.session,
                target,
                patch,
                manager=writing.manager_of(self.options, "kubectl-edit"),
                subresource=self.options["subresource"],
                fieldValidation=writing.validation_of(self.options["validate"]),
            )
        except HANDLED as error:
            raise as_failure(error) from None
        output.done(obj, "edited")


def _identity(obj: Object) -> tuple[str, ...]:
    meta = obj.get("metadata") or {}
    return (obj.get("apiVersion") or "", obj.get("kind") or "", meta.get("namespace") or "", meta.get("name") or "")


VERB = KubectlCommand(
    "edit",
    _run,
    [
        text("output", "o", default="yaml", help="yaml or json"),
        text("validate", default="strict", bare="strict", help="strict, warn or ignore."),
        text("subresource", help="status, scale, …"),
        switch("save-config", help="Note what was applied, for `kubectl apply`."),
        switch("output-patch", help="Print what is sent."),
        switch("windows-line-endings", help="Lines of the file end as on Windows."),
        writing.recording(),
        switch("show-managed-fields", help="Keep managedFields."),
        *writing.choosing(),
        text("field-manager", help="Who the fields belong to."),
        arguments(),
    ],
    help="Edit objects in $KUBE_EDITOR, $EDITOR or vi.",
)
