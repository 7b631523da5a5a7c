"""`kubectl apply`: three-way merge with the last applied configuration, or server-side. Source: cmd/apply."""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import applying, manifests, output, writing
from pylet.cli.kubectl.command import KubectlCommand, many, switch, text
from pylet.cli.kubectl.documents import as_list
from pylet.cli.kubectl.errors import HANDLED, Collected
from pylet.cli.kubectl.session import Session


def _run(session: Session, filename: tuple[str, ...], recursive: bool, **options: Any) -> None:
    if options["kustomize"]:
        raise Failure(
            f"error: -k {options['kustomize']}: kustomizations are not built here: run `kustomize build "
            f"{options['kustomize']} | pylet kubectl apply -f -`, or use an unmodified kubectl"
        )
    if not filename:
        raise Failure("error: must specify one of -f and -k")
    apply = applying.Applier(session, options)
    found = manifests.targets(session, filename, recursive=recursive)
    if not found:
        raise Failure("error: no objects passed to apply")
    failures = Collected()
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


VERB = KubectlCommand(
    "apply",
    _run,
    [
        many("filename", "f", help="Files, folders or - with the objects."),
        text("kustomize", "k", help="Refused; see what it says."),
        switch("recursive", "R", help="Folders with what is below them."),
        switch("server-side", help="Merge on the server."),
        switch("force-conflicts", help="Take over fields of other managers."),
        text("validate", default="strict", bare="strict", help="strict, warn or ignore."),
        switch("overwrite", default=True, help="Accepted; conflicts with the live object are always overwritten."),
        *writing.writing(),
    ],
    help="Make objects what files say.",
)
