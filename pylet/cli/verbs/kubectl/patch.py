"""`kubectl patch`. Source: cmd/patch/patch.go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, output, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session

_TYPES = {"json": writing.JSON_PATCH, "merge": writing.MERGE, "strategic": writing.STRATEGIC}


def _body(patch: str, patch_file: str) -> Any:
    import yaml

    if bool(patch) == bool(patch_file):
        raise Failure("error: must specify --patch or --patch-file containing the contents of the patch")
    try:
        return yaml.load(patch or Path(patch_file).read_text(), yaml.CSafeLoader)
    except OSError as error:
        raise Failure(f"error: unable to read patch file: open {patch_file}: {str(error.strerror).lower()}") from None
    except yaml.YAMLError as error:
        raise Failure(f'error: unable to parse "{patch}": {" ".join(str(error).split())}') from None


def _run(session: Session, args: tuple[str, ...], patch: str, patch_file: str, type: str, **options: Any) -> None:
    if type not in _TYPES:
        raise Failure(f"error: --type must be one of [json merge strategic], not {type!r}".replace("'", '"'))
    body = _body(patch, patch_file)
    dry_run = writing.dry_run(options)
    manager = writing.manager_of(options, "kubectl-patch")
    failures = Collected()
    for target in writing.choose(session, args, options, failures):
        if dry_run in ("client", "local"):
            obj = _patched(target.obj, body, type)
        else:
            obj = writing.patch(
                session,
                target,
                body,
                type_=_TYPES[type],
                manager=manager,
                dry_run=dry_run,
                subresource=options["subresource"],
            )
            obj = writing.record(session, target, obj, options, manager=manager)
        operation = "patched" if obj != target.obj else "patched (no change)"
        output.done(obj, operation, options["output"], dry_run=dry_run)
    failures.finish()


def _patched(obj: Object, patch: Any, type: str) -> Object:
    from pylet.api.kinds import by_kind
    from pylet.api.patch import json_patch, merge
    from pylet.cli.kubectl import making

    group, _, version = obj["apiVersion"].rpartition("/")
    match type:
        case "json":
            patched: Object = json_patch.apply(obj, patch)
            return patched
        case "merge":
            return merge.apply(obj, patch)
    if by_kind(group, version, obj["kind"]) is None:
        what = f"{group}/{version}, Kind={obj['kind']}"
        raise Failure(f"error: strategic merge patch is not supported for {what} locally, try --type merge")
    return making.patched(obj, patch)


VERB = KubectlCommand(
    "patch",
    _run,
    [
        text("patch", "p", help="The patch, JSON or YAML."),
        text("patch-file", help="A file with the patch."),
        text("type", default="strategic", help="json, merge or strategic."),
        flags.SUBRESOURCE,
        *flags.CHOOSING,
        *flags.WRITING,
        flags.LOCAL,
        flags.RECORD,
        arguments(),
    ],
    help="Change fields of objects.",
)
