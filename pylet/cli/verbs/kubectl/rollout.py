"""`kubectl rollout`: status, history, undo, restart, pause, resume. Source: cmd/rollout, polymorphichelpers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pylet.api import timestamps
from pylet.api.object import Object, annotations_of
from pylet.cli.failure import Failure, warn
from pylet.cli.kubectl import flags, output, pods, rollouts, watching, writing
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, number, switch, text
from pylet.cli.kubectl.documents import LAST_APPLIED
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.tabs import align
from pylet.cli.kubectl.targets import Target

_HASH = "pod-template-hash"
_APPLIED = (
    "resource {what} was previously managed with 'kubectl apply'. Rolling back will not update the "
    "{annotation} annotation, which may cause unexpected behavior on future 'kubectl apply' operations. Consider using "
    "'kubectl apply' with your previous configuration file instead."
)
_KEPT = (
    LAST_APPLIED,
    rollouts.REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)


def _status(session: Session, args: tuple[str, ...], watch: bool, timeout: str, revision: int, **options: Any) -> None:
    failures = Collected()
    found = _chosen(session, args, options, failures)
    seconds = duration_seconds(timeout, "--timeout")
    deadline = time.monotonic() + (seconds or math.inf)
    for target in found:
        _refuse_others(target, "status viewer")
        failures.attempt(_follow, session, target, watch, revision, deadline)
    failures.finish()


def _follow(session: Session, target: Target, watch: bool, revision: int, deadline: float) -> None:
    for obj in watching.states(session.api, target, deadline):
        if obj is None:
            raise Failure("error: object has been deleted")
        said, over = rollouts.status(obj, revision)
        print(said, flush=True)
        if over or not watch:
            return
    raise Failure("error: timed out waiting for the condition")


def _chosen(session: Session, args: tuple[str, ...], options: dict[str, Any], failures: Collected) -> Iterator[Target]:
    if not args and not options["filename"]:
        raise Failure("error: required resource not specified")
    return writing.choose(session, args, options, failures, everything=True)


def _refuse_others(target: Target, what: str) -> None:
    if target.resource.kind not in rollouts.KINDS:
        kind = f"{target.resource.kind}.{target.resource.group}".rstrip(".")
        shown = kind if what == "status viewer" else json.dumps(kind)
        raise Failure(f"error: no {what} has been implemented for {shown}")


def _revisions(session: Session, target: Target) -> dict[int, rollouts.Revision]:
    keeper = "replicasets.apps" if target.resource.kind == "Deployment" else "controllerrevisions.apps"
    path = session.catalog.find(keeper).path(target.namespace)
    found = session.api.request("GET", path, query={"labelSelector": pods.selector_of(target.obj)})["items"]
    return rollouts.revisions(target.obj, found or ())


def _history(session: Session, args: tuple[str, ...], revision: int, **options: Any) -> None:
    failures = Collected()
    for target in _chosen(session, args, options, failures):
        _refuse_others(target, "history viewer")
        revisions = _revisions(session, target)
        if not revision:
            rows = ["REVISION\tCHANGE-CAUSE", *(f"{n}\t{revisions[n].cause or '<none>'}" for n in sorted(revisions))]
            print(f"{output.label_of(target.obj)} ")
            print(align("\n".join(rows), least=0, padding=2) + "\n")
            continue
        if revision not in revisions:
            raise Failure("error: unable to find the specified revision")
        if options["output"]:
            print(output.printer(options["output"])(revisions[revision].keeper), end="")
        else:
            print(f"{output.label_of(target.obj)} with revision #{revision}")
            print(_template_text(session, revisions[revision]))
    failures.finish()


def _template_text(session: Session, revision: rollouts.Revision) -> str:
    from pylet.cli.kubectl.describe.page import Page
    from pylet.cli.kubectl.describe.podspec import template

    page = Page(session.api, datetime.now(UTC))
    shown = dict(revision.template)
    if revision.cause:
        meta = dict(shown.get("metadata") or {})
        annotations = {**(meta.get("annotations") or {}), rollouts.CAUSE: revision.cause}
        shown["metadata"] = {**meta, "annotations": annotations}
    template(page, shown)
    return page.raw()


def _annotations_then(deployment: Object, keeper: Object) -> dict[str, str]:
    """The annotations of the revision that goes on, with those that are the Deployment's own."""
    now, then = annotations_of(deployment), annotations_of(keeper)
    return {key: now[key] for key in _KEPT if key in now} | {k: v for k, v in then.items() if k not in _KEPT}


def _undo(session: Session, args: tuple[str, ...], to_revision: int, **options: Any) -> None:
    failures = Collected()
    for target in _chosen(session, args, options, failures):
        failures.attempt(_roll_back, session, target, to_revision, options)
    failures.finish()


def _roll_back(session: Session, target: Target, to_revision: int, options: dict[str, Any]) -> None:
    """Raises: Failure."""
    _refuse_others(target, "rollbacker")
    if LAST_APPLIED in annotations_of(target.obj):
        warn(_APPLIED.format(what=target.indexed, annotation=LAST_APPLIED))
    dry_run = writing.dry_run(options)
    revision = _revision(target, _revisions(session, target), to_revision)
    if dry_run == "client":
        print(f"{output.label_of(target.obj)} {_template_text(session, revision)}{output.rehearsed(dry_run)}")
        return
    template = _without_hash(revision.template)
    if template == _without_hash(target.obj["spec"]["template"]):
        skipped = f"skipped rollback (current template already matches revision {to_revision})"
        output.done(target.obj, skipped, options["output"])
        return
    body: list[Object] = [{"op": "replace", "path": "/spec/template", "value": template}]
    if target.resource.kind == "Deployment":
        annotations = _annotations_then(target.obj, revision.keeper)
        body.append({"op": "replace", "path": "/metadata/annotations", "value": annotations})
    manager = writing.manager_of(options, "kubectl-rollout")
    obj = writing.patch(session, target, body, type_=writing.JSON_PATCH, manager=manager, dry_run=dry_run)
    output.done(obj, "rolled back", options["output"], dry_run=dry_run)


def _revision(target: Target, revisions: Mapping[int, rollouts.Revision], number_: int) -> rollouts.Revision:
    """The revision of that number, for 0 the one before the latest. Raises: Failure, where there is none to go to."""
    chosen = number_ or (sorted(revisions)[-2] if len(revisions) > 1 else 0)
    if chosen not in revisions:
        if number_:
            raise Failure(f"error: unable to find specified revision {number_} in history")
        kind = target.resource.kind.lower()
        raise Failure(f"error: no rollout history found for {kind} {json.dumps(target.name)}")
    if target.obj["spec"].get("paused"):
        told = "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again"
        raise Failure(f"error: {told}")
    return revisions[chosen]


def _without_hash(template: Object) -> Object:
    meta = {key: value for key, value in (template.get("metadata") or {}).items() if key != "creationTimestamp"}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != _HASH}
    return {**template, "metadata": {**meta, "labels": labels}}


def _changing(change: Callable[[Object], tuple[Object | None, str]]) -> Callable[..., None]:
    """A command that patches every chosen object; no patch means there is nothing to do but say so."""

    def run(session: Session, args: tuple[str, ...], **options: Any) -> None:
        dry_run = writing.dry_run(options)
        failures = Collected(prefixed=True)

        def one(target: Target) -> None:
            body, operation = change(target.obj)
            if body is None:
                raise Failure(f"error: {target.resource.qualified} {json.dumps(target.name)} {operation}")
            obj = target.obj
            if dry_run != "client":
                manager = writing.manager_of(options, "kubectl-rollout")
                obj = writing.patch(session, target, body, type_=writing.STRATEGIC, manager=manager, dry_run=dry_run)
            output.done(obj, operation, options["output"], dry_run=dry_run)

        for target in _chosen(session, args, options, failures):
            failures.attempt(one, target)
        failures.finish()

    return run


def _restart(obj: Object) -> tuple[Object | None, str]:
    if "template" not in obj.get("spec", {}) or obj.get("kind") == "ReplicaSet":
        return None, "restarting is not supported"
    if obj["spec"].get("paused"):
        return None, "can't restart paused deployment (run rollout resume first)"
    restarted = {"kubectl.kubernetes.io/restartedAt": timestamps.format_time(datetime.now(UTC))}
    return {"spec": {"template": {"metadata": {"annotations": restarted}}}}, "restarted"


def _pause(obj: Object) -> tuple[Object | None, str]:
    if obj.get("kind") != "Deployment":
        return None, "pausing is not supported"
    return (None, "is already paused") if obj["spec"].get("paused") else ({"spec": {"paused": True}}, "paused")


def _resume(obj: Object) -> tuple[Object | None, str]:
    if obj.get("kind") != "Deployment":
        return None, "resuming is not supported"
    return ({"spec": {"paused": None}}, "resumed") if obj["spec"].get("paused") else (None, "is not paused")


def _command(name: str, run: Callable[..., None], help_: str, *own: Any) -> KubectlCommand:
    return KubectlCommand(name, run, [*own, *flags.CHOOSING, *flags.WRITING, arguments()], help=help_)


VERB = KubectlGroup("rollout", help="Follow and steer roll-outs.")
for _each in (
    _command(
        "status",
        _status,
        "Wait until a roll-out is over.",
        switch("watch", "w", default=True, help="Until it is over."),
        text("timeout", default="0s", help="How long; 0 for ever."),
        number("revision", help="Only while this revision is rolled out."),
    ),
    _command("history", _history, "List revisions.", number("revision", help="Show this one in detail.")),
    _command("undo", _undo, "Go back to an earlier revision.", number("to-revision", help="0 is the one before.")),
    _command("restart", _changing(_restart), "Replace all pods."),
    _command("pause", _changing(_pause), "Hold a roll-out."),
    _command("resume", _changing(_resume), "Go on with a roll-out."),
):
    VERB.add_command(_each)
