"""How verbs choose objects and change them: the flags they share, and create, patch, delete with kubectl's queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import targets
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.output import dry_run_of
from pylet.cli.kubectl.rollouts import CAUSE
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Ask, Target

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


def cause(session: Session, options: dict[str, Any]) -> dict[str, str]:
    """The annotation that --record asks for; {} without it."""
    return {CAUSE: session.change_cause} if options.get("record") else {}


def record(session: Session, target: Target, obj: Object, options: dict[str, Any], *, manager: str) -> Object:
    """The object with the annotation that --record asks for."""
    if not (annotation := cause(session, options)):
        return obj
    query_dry_run = dry_run(options)
    return patch(session, target, {"metadata": {"annotations": annotation}}, manager=manager, dry_run=query_dry_run)


def choose(
    session: Session, args: Sequence[str], options: dict[str, Any], failures: Collected, *, everything: bool = False
) -> Iterator[Target]:
    """The objects that arguments, files or selectors name, as the server has them; with --local as files have them.

    `failures` are of names nobody has and of files that hold no object; with `everything` a type alone stands for all
    its objects. Raises: Failure, ApiError.
    """
    if options.get("local"):
        yield from _choose_local(session, args, options)
        return
    for target in named(session, args, options, failures, everything=everything):
        is_fetched = target.obj and not target.source
        obj = target.obj if is_fetched else failures.attempt(session.api.request, "GET", target.path)
        if obj is not None:
            yield replace(target, obj=obj)


def named(
    session: Session, args: Sequence[str], options: dict[str, Any], failures: Collected, *, everything: bool = False
) -> Iterator[Target]:
    """As `choose`, but what files and arguments name is not asked for: what files say, or nothing but a name."""
    if options["filename"]:
        from pylet.cli.kubectl import manifests

        yield from manifests.good(session, options["filename"], failures, recursive=options["recursive"])
        return
    labels, fields, everywhere = options["selector"], options["field_selector"], options["all_namespaces"]
    for ask in asked(session, args, options, everything=everything):
        if isinstance(ask, targets.Named):
            yield Target(ask.resource, session.namespace if ask.resource.namespaced else "", ask.name, {})
        else:
            yield from targets.fetch(session, [ask], labels=labels, fields=fields, all_namespaces=everywhere)


def asked(session: Session, args: Sequence[str], options: dict[str, Any], *, everything: bool = False) -> list[Ask]:
    """What arguments and selectors ask for. Raises: Failure."""
    if not args:
        raise Failure(targets.NO_RESOURCE)
    selecting = bool(options["selector"] or options["field_selector"] or options["all"])
    everywhere = options["all_namespaces"]
    return targets.parse(args, session.catalog, everything=everything, selecting=selecting, all_namespaces=everywhere)


def choose_written(
    session: Session, args: Sequence[str], options: dict[str, Any], failures: Collected
) -> Iterable[Target]:
    """As `choose`, but objects in files are what the files say, whether the server has them or not."""
    if not options["filename"]:
        none = {"selector": "", "field_selector": "", "all": False, "all_namespaces": False}
        return choose(session, args, {**options, **none}, failures)
    from pylet.cli.kubectl import manifests

    return manifests.good(session, options["filename"], failures, recursive=options["recursive"])


def _choose_local(session: Session, args: Sequence[str], options: dict[str, Any]) -> list[Target]:
    from pylet.cli.kubectl import manifests

    if args:
        raise Failure(
            "error: you must specify resources by --filename when --local is set.\n"
            "Example resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'"
        )
    if dry_run_of(options["dry_run"]) == "server":
        raise Failure("error: cannot specify --local and --dry-run=server - did you mean --dry-run=client?")
    found = manifests.read(options["filename"], recursive=options["recursive"])
    return [manifests.unsent(obj, source) for source, obj in found]


def _query(manager: str, dry_run: str, **more: str) -> dict[str, str]:
    return {"fieldManager": manager, "dryRun": "All" if dry_run == "server" else "", **more}


def validation_of(value: str) -> str:
    """What `--validate` asks of the server. Raises: Failure."""
    names = {"true": "Strict", "strict": "Strict", "warn": "Warn", "false": "Ignore", "ignore": "Ignore"}
    if value.lower() not in names:
        raise Failure(f'error: invalid - validate option "{value}"')
    return names[value.lower()]


def create(
    session: Session, target: Target, *, manager: str, dry_run: str = "none", validation: str = "Strict"
) -> Object:
    """The object as the server made it; as it is under a dry run of the client."""
    if dry_run == "client":
        return target.obj
    path = target.resource.path(target.namespace)
    query = _query(manager, dry_run, fieldValidation=validation)
    # Source: cli-runtime `pkg/resource/helper.go`, Create: a revision that was copied along is no mistake.
    meta = {field: value for field, value in target.obj["metadata"].items() if field != "resourceVersion"}
    made: Object = session.api.request("POST", path, query=query, body={**target.obj, "metadata": meta})
    return made


def patch(
    session: Session,
    target: Target,
    body: Any,
    *,
    type_: str = MERGE,
    manager: str,
    dry_run: str = "none",
    subresource: str = "",
    **query: str,
) -> Object:
    path = target.resource.path(target.namespace, target.name, subresource)
    patched: Object = session.api.request(
        "PATCH", path, query=_query(manager, dry_run, **query), body=body, content_type=type_
    )
    return patched


def manager_of(options: dict[str, Any], default: str) -> str:
    return options["field_manager"] or default


def dry_run(options: dict[str, Any]) -> str:
    """none, client or server; local where the server is not even asked."""
    return "local" if options.get("local") else dry_run_of(options["dry_run"])
