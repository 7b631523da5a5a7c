"""`kubectl diff`: what `apply` would change, as an ordinary diff. Source: cmd/diff/diff.go."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pylet.api.errors import NotFound
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import applying, flags, manifests, pruning
from pylet.cli.kubectl.command import KubectlCommand, switch
from pylet.cli.kubectl.documents import to_yaml, without_managed_fields
from pylet.cli.kubectl.errors import HANDLED, as_failure
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_MASK = "***"


def _run(session: Session, filename: tuple[str, ...], recursive: bool, **options: Any) -> int:
    try:
        return _diff(session, filename, recursive=recursive, options=options)
    except (Failure, *HANDLED) as error:
        # 1 is what differences end with, so that every failure ends with more.
        failure = as_failure(error)
        raise Failure(failure.message, max(failure.status, 2)) from None


def _diff(session: Session, filename: tuple[str, ...], *, recursive: bool, options: dict[str, Any]) -> int:
    found = manifests.targets(session, filename, recursive=recursive, labels=options["selector"])
    apply = applying.Applier(session, {**options, "dry_run": "server"}, preview=True)
    with tempfile.TemporaryDirectory(prefix="LIVE-") as live, tempfile.TemporaryDirectory(prefix="MERGED-") as merged:
        kept: set[str] = set()
        for target in found:
            kept.add(_write(session, apply, target, Path(live), Path(merged), options))
        if options["prune"]:
            namespaces = {target.namespace for target in found if target.resource.namespaced}
            labels, allowlist = options["selector"], options["prune_allowlist"]
            for target in pruning.left_behind(session, kept, namespaces, labels=labels, allowlist=allowlist):
                _put(target, target.obj, None, Path(live), Path(merged), options)
        return _compare(live, merged)


def _write(
    session: Session, apply: applying.Applier, target: Target, live: Path, merged: Path, options: dict[str, Any]
) -> str:
    """The object as it is and as it would be, each into its folder; its uid."""
    try:
        now: Object | None = session.api.request("GET", target.path)
    except NotFound:
        now = None
    then = apply.one(target)[0]
    _put(target, now, then, live, merged, options)
    uid: str = (now or then)["metadata"].get("uid", "")
    return uid


def _put(
    target: Target, now: Object | None, then: Object | None, live: Path, merged: Path, options: dict[str, Any]
) -> None:
    if not options["show_managed_fields"]:
        now, then = now and without_managed_fields(now), then and without_managed_fields(then)
    if target.resource.label == "secret" and not options["show_secrets"]:
        now, then = masked(now, then)
    resource = target.resource
    parts = [*([resource.group] if resource.group else []), resource.version, resource.kind]
    name = ".".join([*parts, target.namespace, target.name])
    for folder, obj in ((live, now), (merged, then)):
        (folder / name).write_text(to_yaml(obj) if obj is not None else "")


def masked(before: Object | None, after: Object | None) -> tuple[Object | None, Object | None]:
    """Secrets whose values say only whether they differ."""
    old, new = ((obj or {}).get("data") or {} for obj in (before, after))

    def shown(values: Object, other: Object, label: str) -> Object:
        differs = {key for key in values if key in other and values[key] != other[key]}
        return {key: f"{_MASK} ({label})" if key in differs else _MASK for key in values}

    return (
        before and {**before, **({"data": shown(old, new, "before")} if old else {})},
        after and {**after, **({"data": shown(new, old, "after")} if new else {})},
    )


def _compare(live: str, merged: str) -> int:
    """The status of the diff program: 1 when there are differences. Raises: Failure."""
    program = shlex.split(os.environ.get("KUBECTL_EXTERNAL_DIFF") or "diff -u -N")
    try:
        status = subprocess.run([*program, live, merged], check=False).returncode
    except OSError as error:
        raise Failure(f"error: executing {program[0]}: {str(error.strerror).lower()}", 2) from None
    if status > 1:
        raise Failure(f"error: {program[0]} ended with status {status}", status)
    return status


VERB = KubectlCommand(
    "diff",
    _run,
    [
        flags.FILENAME,
        flags.SELECTOR,
        *flags.PRUNING,
        flags.RECURSIVE,
        switch("server-side", help="Merge on the server."),
        switch("force-conflicts", help="Take over fields of other managers."),
        flags.FIELD_MANAGER,
        flags.VALIDATE,
        flags.SHOW_MANAGED_FIELDS,
        switch("show-secrets", help="Values of secrets as they are."),
    ],
    help="Show what apply would change; exits with 1 when it would.",
)
