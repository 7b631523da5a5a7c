"""A text in the editor of whoever asks: $KUBE_EDITOR, $EDITOR or vi. Source: cmd/util/editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from pylet.cli.failure import Failure

HEADER = """\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
"""


def edited(text: str, *, suffix: str, windows_line_endings: bool = False) -> str:
    """What the person leaves, without lines of comment. Raises: Failure."""
    editor = os.environ.get("KUBE_EDITOR") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile(
        "w", prefix="kubectl-edit-", suffix=f".{suffix}", newline="", delete=False
    ) as file:
        file.write(text.replace("\n", "\r\n") if windows_line_endings else text)
    try:
        status = subprocess.run([*shlex.split(editor), file.name], check=False).returncode
        if status:
            raise Failure(f'error: there was a problem with the editor "{editor}"')
        lines = Path(file.name).read_text().splitlines(keepends=True)
    except OSError as error:
        told = f"error: unable to launch the editor {editor!r}: {str(error.strerror).lower()}"
        raise Failure(told.replace("'", '"')) from None
    finally:
        Path(file.name).unlink(missing_ok=True)
    return "".join(line for line in lines if not line.startswith("#"))


def cancelled(text: str) -> None:
    """Says why nothing comes of what was left."""
    why = "no changes made" if text.strip() else "saved file was empty"
    print(f"Edit cancelled, {why}.", file=sys.stderr)
