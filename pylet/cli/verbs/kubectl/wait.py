"""`kubectl wait`. Source: cmd/wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pylet.api.errors import Expired, NotFound
from pylet.api.object import Object, dig
from pylet.cli.failure import Failure
from pylet.cli.kubectl import jsonpath, manifests, output, targets, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, text
from pylet.cli.kubectl.documents import to_text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.targets import Target

Met = Callable[[Object | None], bool]
"""Whether the object, None when it is gone, is as waited for."""


def condition(spec: str) -> Met:
    """What `--for` asks. Raises: Failure."""
    kind, _, rest = spec.partition("=")
    match kind.lower():
        case "delete":
            return lambda obj: obj is None
        case "create":
            return lambda obj: obj is not None
        case "condition":
            name, _, value = rest.partition("=")
            return lambda obj: obj is not None and _has_condition(obj, name, value or "true")
        case "jsonpath":
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
    text_ = rest.strip("'\"")
    if text_.startswith("{"):
        path, _, value = text_.partition("}")
        path, value = path + "}", value
    else:
        path, equals, value = text_.partition("=")
        value = equals + value
    if value and not value.startswith("="):
        raise Failure(
            "error: jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 "
            "or --for=jsonpath='{.status.readyReplicas}'"
        )
    wanted = value[1:].strip("'\"") if value else None
    try:
        template = jsonpath.parse(jsonpath.relaxed(path))
    except jsonpath.BadPath as error:
        raise Failure(f"error: {error}") from None

    def met(obj: Object | None) -> bool:
        results = [value for found in jsonpath.find(template, obj) for value in found] if obj is not None else []
        if wanted is None:
            return bool(results)
        return len(results) == 1 and to_text(results[0]) == wanted

    return met


def _targets(session: Session, args: tuple[str, ...], options: dict[str, Any]) -> list[Target]:
    if options["filename"]:
        return manifests.targets(session, options["filename"], recursive=options["recursive"])
    if not args:
        raise Failure("error: You must provide one or more resources by argument or filename.")
    selecting = bool(options["selector"] or options["field_selector"] or options["all"])
    found = []
    for ask in targets.parse(args, session.catalog, selecting=selecting, all_namespaces=options["all_namespaces"]):
        if isinstance(ask, targets.Named):
            namespace = session.namespace if ask.resource.namespaced else ""
            found.append(Target(ask.resource, namespace, ask.name, {}))
        else:
            found += targets.fetch(
                session,
                [ask],
                labels=options["selector"],
                fields=options["field_selector"],
                all_namespaces=options["all_namespaces"],
            )
    return found


def _until(session: Session, target: Target, met: Met, deadline: float, *, absent_ok: bool) -> Object | None:
    """The object once it is as waited for. Raises: Failure at the deadline, NotFound."""
    obj: Object | None
    while True:
        revision = ""
        try:
            obj = session.api.request("GET", target.path)
            revision = obj["metadata"]["resourceVersion"]
        except NotFound:
            if not absent_ok:
                raise
            obj = None
        if met(obj):
            return obj
        left = deadline - time.monotonic()
        if left <= 0:
            raise Failure(f"error: timed out waiting for the condition on {target.resource.plural}/{target.name}")
        if not revision:
            time.sleep(min(left, 0.5))
            continue
        query = {
            "fieldSelector": f"metadata.name={target.name}",
            "resourceVersion": revision,
            "timeoutSeconds": max(1, min(300, int(left))),
        }
        try:
            for event in session.api.watch(target.resource.path(target.namespace), query):
                seen = None if event["type"] == "DELETED" else event["object"]
                if event["type"] == "ERROR" or (seen is None and not met(None)):
                    break
                if event["type"] != "BOOKMARK" and met(seen):
                    return seen
        except Expired:
            continue


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    spec: str = options["for"]
    if not spec:
        raise Failure("error: --for is required: condition=…, delete, create or jsonpath=…")
    met = condition(spec)
    timeout = duration_seconds(options["timeout"], "--timeout")
    deadline = time.monotonic() + (timeout if timeout >= 0 else 7 * 86400.0)
    kind = spec.partition("=")[0].lower()
    found = _targets(session, args, options)
    if not found and kind != "delete":
        raise Failure("error: no matching resources found")
    failures = Collected()
    for target in found:
        if kind == "delete" and not target.obj and not _is_there(session, target):
            continue
        try:
            obj = _until(session, target, met, deadline, absent_ok=kind in ("delete", "create"))
        except NotFound as error:
            failures.add(error)
            continue
        except Failure as failure:
            failures.add(failure)
            continue
        shown = obj or {"apiVersion": target.resource.api_version, "kind": target.resource.kind, **_named(target)}
        output.done(shown, "condition met", options["output"])
    failures.finish()


def _is_there(session: Session, target: Target) -> bool:
    try:
        session.api.request("GET", target.path)
    except NotFound:
        return False
    return True


def _named(target: Target) -> Object:
    return {"metadata": {"name": target.name}}


VERB = KubectlCommand(
    "wait",
    _run,
    [
        text("for", help="condition=NAME[=VALUE], delete, create or jsonpath={PATH}[=VALUE]"),
        text("timeout", default="30s", help="How long; 0 looks once, negative for a week."),
        *writing.choosing(),
        text("output", "o", help="Print the object."),
        arguments(),
    ],
    help="Wait until objects are as said.",
)
