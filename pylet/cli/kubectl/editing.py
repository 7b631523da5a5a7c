"""Objects in the editor of whoever asks: $KUBE_EDITOR, $EDITOR or vi. Source: cmd/util/editor/editoptions.go."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pylet.api.errors import ApiError, NotFound
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import manifests, output
from pylet.cli.kubectl.documents import to_json, to_yaml, without_managed_fields
from pylet.cli.kubectl.targets import Target

HEADER = """\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
"""
Send = Callable[[Target, Object, Object], Object]
"""Makes the object, as it was before, what it is wanted to be; as it is then. Raises: ApiError, Failure."""


class Edit:
    """Objects in one file: edited until the server takes them, the person gives up, or repeats what was refused."""

    def __init__(self, targets: Sequence[Target], options: dict[str, Any], send: Send, header: str = HEADER) -> None:
        if options["output"] not in ("", "yaml", "json"):
            raise Failure("error: The flag 'output' must be one of yaml|json")
        self._send = send
        self._output: str = options["output"]
        self._windows: bool = options["windows_line_endings"]
        self._header = "" if self._output == "json" else header
        is_shown_whole = options.get("show_managed_fields", False)
        shown = [target.obj if is_shown_whole else without_managed_fields(target.obj) for target in targets]
        self._before = {_identity(obj): (target, obj) for target, obj in zip(targets, shown, strict=True)}
        whole = shown[0] if len(shown) == 1 else {"apiVersion": "v1", "items": shown, "kind": "List", "metadata": {}}
        self._original = to_json(whole) if self._output == "json" else to_yaml(whole)

    def run(self) -> None:
        """Raises: Failure."""
        text, reasons = self._original, ""
        while True:
            edited = launched(self._header + reasons + text, suffix=self._output or "yaml", windows=self._windows)
            if reasons and edited == text:
                raise _kept(edited, "error: Edit cancelled, no valid changes were saved.")
            if edited == self._original or not edited.strip():
                cancelled(edited)
                return
            text, reasons = edited, self._saved(edited)
            if not reasons:
                return

    def _saved(self, edited: str) -> str:
        """What is wrong, as comments; "" when all is well. Raises: Failure, for what no other edit can mend."""
        try:
            wanted = list(manifests.documents("edited-file", edited.encode()))
        except Failure as failure:
            return _comment(f"The edited file had a syntax error: {failure.message.removeprefix('error: ')}")
        if any(_identity(obj) not in self._before for obj in wanted):
            raise _kept(edited, "error: At least one of apiVersion, kind and name was changed")
        return "".join(self._one(obj, edited) for obj in wanted)

    def _one(self, wanted: Object, edited: str) -> str:
        """As `_saved`."""
        target, before = self._before[_identity(wanted)]
        what = f'{target.resource.qualified} "{target.name}"'
        try:
            obj, operation = (before, "skipped") if wanted == before else (self._send(target, before, wanted), "edited")
        except NotFound:
            told = f"The edits you made on deleted resources have been saved to {_stored(edited)}"
            raise Failure(f"error: {what} could not be found on the server\n{told}") from None
        except ApiError as error:
            if error.reason != "Invalid":
                told = f"You can run `kubectl replace -f {_stored(edited)}` to try this update again."
                raise Failure(f"error: {what} could not be patched: {error}\n{told}") from None
            print(f"error: {what} is invalid", file=sys.stderr)
            causes = (error.details or {}).get("causes") or ()
            head = f"{what} was not valid" + (":" if causes else "")
            return _comment(head, *(f"* {cause.get('field')}: {cause.get('message')}" for cause in causes))
        except Failure as failure:
            raise _kept(edited, failure.message) from None
        output.done(obj, operation, self._output)
        return ""


def _identity(obj: Object) -> tuple[str, ...]:
    meta = obj.get("metadata") or {}
    return (obj.get("apiVersion") or "", obj.get("kind") or "", meta.get("namespace") or "", meta.get("name") or "")


def _comment(*lines: str) -> str:
    return "".join(f"# {line}\n" for text in lines for line in text.splitlines()) + "#\n"


def _kept(edited: str, told: str) -> Failure:
    """The end of an edit that came to nothing."""
    return Failure(f'A copy of your changes has been stored to "{_stored(edited)}"\n{told}')


def _stored(edited: str) -> str:
    with tempfile.NamedTemporaryFile("w", prefix="kubectl-edit-", suffix=".yaml", delete=False) as file:
        file.write(edited)
    return file.name


def launched(text: str, *, suffix: str = "yaml", windows: bool = False) -> str:
    """What the person leaves of the text, without lines of comment. Raises: Failure."""
    editor = os.environ.get("KUBE_EDITOR") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile(
        "w", prefix="kubectl-edit-", suffix=f".{suffix}", newline="", delete=False
    ) as file:
        file.write(text.replace("\n", "\r\n") if windows else text)
    try:
        status = subprocess.run([*shlex.split(editor), file.name], check=False).returncode
        if status:
            raise Failure(f'error: there was a problem with the editor "{editor}"')
        lines = Path(file.name).read_text().splitlines(keepends=True)
    except OSError as error:
        raise Failure(f'error: unable to launch the editor "{editor}": {str(error.strerror).lower()}') from None
    finally:
        Path(file.name).unlink(missing_ok=True)
    return "".join(line for line in lines if not line.startswith("#"))


def cancelled(text: str) -> None:
    """Says why nothing comes of what was left."""
    why = "no changes made" if text.strip() else "saved file was empty"
    print(f"Edit cancelled, {why}.", file=sys.stderr)
