"""`kubectl wait`. Source: cmd/wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pylet.api.errors import NotFound
from pylet.api.object import Object, dig
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, jsonpath, manifests, output, watching, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, many, text
from pylet.cli.kubectl.documents import to_text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.targets import Named, Target

Met = Callable[[Object | None], bool]
"""Whether the object, None when it is gone, is as waited for."""


def condition(spec: str) -> Met:
    """What `--for` asks. Raises: Failure."""
    kind, equals, rest = spec.partition("=")
    if spec.lower() == "delete":
        return lambda obj: obj is None
    if spec.lower() == "create":
        return lambda obj: obj is not None
    if equals and kind == "condition":
        name, _, value = rest.partition("=")
        return lambda obj: obj is not None and _has_condition(obj, name, value or "true")
    if equals and kind == "jsonpath":
        return _path(rest)
    raise Failure(f'error: unrecognized condition: "{spec}"')


def _has_condition(obj: Object, name: str, value: str) -> bool:
    found = next(
        (c for c in dig(obj, "status", "conditions", default=()) if c.get("type", "").lower() == name.lower()), None
    )
    if found is None:
        return False
    generation = dig(obj, "metadata", "generation")
    observed = found.get("observedGeneration") or dig(obj, "status", "observedGeneration")
    if generation and observed and observed < generation:
        return False
    return str(found.get("status", "")).lower() == value.lower()


def _path(rest: str) -> Met:
    parts = [part.replace("\0", "==") for part in rest.replace("==", "\0").split("=")]
    if len(parts) > 2:
        raise Failure(
            "error: jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 "
            "or --for=jsonpath='{.status.readyReplicas}'"
        )
    wanted = parts[1].strip("'\"") if len(parts) > 1 else None
    if wanted == "":
        told = "has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3"
        raise Failure(f"error: jsonpath wait {told}")
    try:
        template = jsonpath.parse(jsonpath.relaxed(parts[0]))
    except jsonpath.BadPath as error:
        raise Failure(f"error: {error}") from None

    def met(obj: Object | None) -> bool:
        results = jsonpath.find(template, obj) if obj is not None else []
        if not results or not results[0]:
            return False
        if len(results) > 1 or len(results[0]) > 1:
            raise Failure(
                f"error: given jsonpath expression matches more than one {'list' if len(results) > 1 else 'value'}"
            )
        (value,) = results[0]
        if wanted is not None and isinstance(value, dict | list):
            raise Failure("error: jsonpath leads to a nested object or list which is not supported")
        return wanted is None or to_text(value).strip() == wanted.strip()

    return met


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    wanted = [condition(spec) for spec in options["for"]]
    if not wanted:
        raise Failure("error: unrecognized condition: []")
    kinds = {spec.lower() for spec in options["for"]}
    timeout = duration_seconds(options["timeout"], "--timeout")
    deadline = time.monotonic() + (timeout if timeout >= 0 else watching.LONG_SECONDS)
    if "create" in kinds:
        _wait_created(session, args, options, deadline)
    missed = "condition not met for" if timeout == 0 else "timed out waiting for the condition on"
    failures = Collected()
    found = list(writing.named(session, args, options, failures))
    for target in found:
        try:
            obj = target.obj if target.obj and not target.source else session.api.request("GET", target.path)
            for met in wanted:
                obj = _until(session, replace(target, obj=obj), met, deadline, missed)
                output.done(obj, "condition met", options["output"])
        except NotFound as error:
            if "delete" not in kinds:
                failures.add(error)
        except Failure as failure:
            failures.add(failure)
    failures.finish()
    if not found and "delete" not in kinds:
        raise Failure("error: no matching resources found")


def _until(session: Session, target: Target, met: Met, deadline: float, missed: str) -> Object:
    """The object once it is as waited for, as it was last when it is gone. Raises: Failure at the deadline."""
    last = target.obj
    for obj in watching.states(session.api, target, deadline):
        last = obj or last
        if met(obj):
            return last
    raise Failure(f"error: {missed} {target.indexed}")


def _wait_created(session: Session, args: tuple[str, ...], options: dict[str, Any], deadline: float) -> None:
    """Until there is at least one object of everything that is asked for. Raises: Failure at the deadline."""
    for path, query in _places(session, args, options):
        if not any(obj is not None for obj in watching.first(session.api, path, query, deadline)):
            raise Failure("error: timed out waiting for the condition")


def _places(session: Session, args: tuple[str, ...], options: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """The lists in which what is asked for would be."""
    if options["filename"]:
        for target in manifests.targets(session, options["filename"], recursive=options["recursive"]):
            yield target.resource.path(target.namespace), {"fieldSelector": f"metadata.name={target.name}"}
        return
    namespace = "" if options["all_namespaces"] else session.namespace
    for ask in writing.asked(session, args, options):
        fields = f"metadata.name={ask.name}" if isinstance(ask, Named) else options["field_selector"]
        yield ask.resource.path(namespace), {"labelSelector": options["selector"], "fieldSelector": fields}


VERB = KubectlCommand(
    "wait",
    _run,
    [
        many(
            "for", help="condition=NAME[=VALUE], delete, create or jsonpath={PATH}[=VALUE]; several one after another."
        ),
        text("timeout", default="30s", help="How long; 0 looks once, negative for a week."),
        *flags.CHOOSING,
        flags.OUTPUT,
        arguments(),
    ],
    help="Wait until objects are as said.",
)
