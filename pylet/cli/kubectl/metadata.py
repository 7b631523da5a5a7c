"""`label` and `annotate`, which differ in a word: `KEY=VALUE`, `KEY-`, --overwrite, --list."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pylet.api.errors import aggregated
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, output, pairs, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, switch
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_BAD_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@dataclass(frozen=True, slots=True)
class Wording:
    """What the two verbs call things."""

    verb: str
    one: str
    field: str
    set: str
    unset: str
    nothing: str


LABEL = Wording("label", "label", "labels", "labeled", "unlabeled", "not labeled")
ANNOTATE = Wording("annotate", "annotation", "annotations", "annotated", "annotated", "annotated")


def _split(args: Sequence[str], wording: Wording) -> tuple[list[str], dict[str, str], list[str]]:
    """Resources, what to set and what to remove. Raises: Failure."""
    words, put, gone = pairs.split(args, wording.one, removing=True)
    for key, value in put.items() if wording is LABEL else ():
        if "=" in value:
            raise Failure(f"error: invalid label spec: {key}={value}")
        if not (_VALUE.fullmatch(value) and len(value) <= 63):
            raise Failure(f'error: invalid label value: "{key}={value}": {_BAD_VALUE}')
    if both := sorted(set(gone) & set(put)):
        label, annotations = "a label in the same command", "the following annotation(s) in the same command: "
        told = label if wording is LABEL else annotations + ", ".join(both)
        raise Failure(f"error: can not both modify and remove {told}")
    return words, put, gone


def command(wording: Wording) -> KubectlCommand:
    def run(session: Session, args: tuple[str, ...], **options: Any) -> None:
        words, put, gone = _split(args, wording)
        if not words and not options["filename"]:
            raise Failure("error: one or more resources must be specified as <resource> <name> or <resource>/<name>")
        if not put and not gone and not options["list"]:
            raise Failure(f"error: at least one {wording.one} update is required")
        failures = Collected()
        found = list(writing.choose(session, words, options, failures))
        for target in found:
            if options["list"]:
                _list(target, wording, several=len(found) > 1)
            else:
                failures.attempt(_change, session, target, wording, put, gone, options)
        failures.finish()

    return KubectlCommand(
        wording.verb,
        run,
        [
            *flags.CHOOSING,
            *flags.WRITING,
            flags.LOCAL,
            flags.RECORD,
            switch("overwrite", help="Change what is already set."),
            switch("list", help=f"Show the {wording.field}."),
            flags.RESOURCE_VERSION,
            arguments(),
        ],
        help=f"Change {wording.field}: KEY=VALUE sets, KEY- removes.",
    )


def _list(target: Target, wording: Wording, *, several: bool) -> None:
    if several:
        print(f"Listing {wording.field} for {target.resource.kind}.{target.resource.group}/{target.name}:")
    for key, value in sorted((target.obj["metadata"].get(wording.field) or {}).items()):
        print(f"{' ' if several else ''}{key}={value}")


def _change(
    session: Session,
    target: Target,
    wording: Wording,
    put: dict[str, str],
    gone: Sequence[str],
    options: dict[str, Any],
) -> None:
    now = target.obj["metadata"].get(wording.field) or {}
    if not options["overwrite"] and not options["resource_version"]:
        taken = [key for key, value in put.items() if key in now and now[key] != value]
        if taken:
            raise Failure("error: " + aggregated(_taken(wording, key, now[key]) for key in taken))
    for key in gone:
        if key not in now and wording is LABEL:
            print(f"label {json.dumps(key)} not found.")
    added = {key: value for key, value in put.items() if now.get(key) != value}
    removed = [key for key in gone if key in now]
    changes: dict[str, Any] = {**added, **dict.fromkeys(removed)}
    dry_run = writing.dry_run(options)
    obj = target.obj
    if dry_run in ("client", "local"):
        merged = {k: v for k, v in {**now, **changes}.items() if v is not None}
        obj = {**obj, "metadata": {**obj["metadata"], wording.field: merged}}
    elif changes:
        body: dict[str, Any] = {"metadata": {wording.field: changes}}
        if annotation := writing.cause(session, options):
            body["metadata"].setdefault("annotations", {}).update(annotation)
        if options["resource_version"]:
            body["metadata"]["resourceVersion"] = options["resource_version"]
        manager = writing.manager_of(options, f"kubectl-{wording.verb}")
        obj = writing.patch(session, target, body, manager=manager, dry_run=dry_run)
    output.done(obj, _operation(wording, added, removed), options["output"], dry_run=dry_run)


def _taken(wording: Wording, key: str, value: str) -> str:
    if wording is LABEL:
        return f"'{key}' already has a value ({value}), and --overwrite is false"
    return f"--overwrite is false but found the following declared annotation(s): '{key}' already has a value ({value})"


def _operation(wording: Wording, added: dict[str, str], removed: Sequence[str]) -> str:
    if added and removed and wording is LABEL:
        return "modified"
    if added:
        return wording.set
    return wording.unset if removed else wording.nothing
