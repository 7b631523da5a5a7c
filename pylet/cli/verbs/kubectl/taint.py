"""`kubectl taint`."""

from __future__ import annotations

from typing import Any

from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, output, taints, targets, writing
from pylet.cli.kubectl.command import KubectlCommand, arguments, switch, text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Listed, Named, Target


def _run(session: Session, args: tuple[str, ...], selector: str, overwrite: bool, **options: Any) -> None:
    try:
        words, changes = taints.split(args)
        if not words:
            raise Failure("error: one or more resources must be specified as <resource> <name>")
        if not changes:
            raise Failure("error: at least one taint update is required")
        put, gone = taints.parse(changes)
    except taints.BadTaint as error:
        see = "" if str(error).startswith("all resources") else "\nSee 'kubectl taint -h' for help and examples"
        raise Failure(f"error: {error}{see}") from None
    failures = Collected()
    found = _nodes(session, words, selector, failures, everything=options["all"])
    if both := taints.conflicts(put, gone):
        told = f"can not both modify and remove the following taint(s) in the same command: {', '.join(both)}"
        raise Failure(f"error: {told}")
    dry_run = writing.dry_run(options)

    def change(node: Target) -> None:
        try:
            wanted, operation = taints.apply(node.obj["spec"].get("taints") or [], put, gone, overwrite=overwrite)
        except taints.BadTaint as error:
            about = f"node {node.name} " if str(error).startswith("already") else ""
            raise Failure(f"error: {about}{error}") from None
        obj = node.obj
        if dry_run != "client":
            body = {"spec": {"taints": wanted or None}}
            obj = writing.patch(
                session, node, body, manager=writing.manager_of(options, "kubectl-taint"), dry_run=dry_run
            )
        output.done(obj, operation, options["output"], dry_run=dry_run)

    for node in found:
        failures.attempt(change, node)
    failures.finish()


def _nodes(session: Session, words: list[str], selector: str, failures: Collected, *, everything: bool) -> list[Target]:
    resource = session.catalog.find(words[0])
    if resource.kind != "Node":
        raise Failure(f"error: invalid resource type {words[0]}, only node types are supported")
    if everything and selector:
        raise Failure("error: setting 'all' parameter with a non empty selector is prohibited")
    if everything or selector:
        return targets.fetch(session, [Listed(resource)], labels=selector)
    if len(words) < 2:
        raise Failure("error: at least one resource name must be specified since 'all' parameter is not set")
    return targets.fetch(session, [Named(resource, name) for name in words[1:]], failures)


VERB = KubectlCommand(
    "taint",
    _run,
    [
        flags.SELECTOR,
        switch("overwrite", help="Change what is already set."),
        switch("all", help="All nodes."),
        text("validate", default="strict", bare="strict", help="Accepted; the server judges taints."),
        *flags.WRITING,
        arguments(),
    ],
    help="Change the taints of nodes: KEY[=VALUE]:EFFECT sets, KEY[:EFFECT]- removes.",
)
