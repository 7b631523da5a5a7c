"""`kubectl describe`. Source: cmd/describe/describe.go."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pylet.api.errors import NotFound
from pylet.cli.failure import Failure
from pylet.cli.kubectl import describe, flags, manifests, targets
from pylet.cli.kubectl.command import KubectlCommand, arguments, text
from pylet.cli.kubectl.errors import HANDLED, Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Named, Target


def _found(session: Session, args: tuple[str, ...], options: dict[str, Any], failures: Collected) -> list[Target]:
    if options["filename"]:
        named = manifests.good(session, options["filename"], failures, recursive=options["recursive"])
        return [targets.target_of(t.resource, session.api.request("GET", t.path)) for t in named]
    everywhere = options["all_namespaces"]
    labels = options["selector"]
    asks = targets.parse(args, session.catalog, everything=True, selecting=bool(labels), all_namespaces=everywhere)
    found = []
    for ask in asks:
        try:
            found += targets.fetch(session, [ask], labels=labels, all_namespaces=everywhere, page=options["chunk_size"])
        except NotFound as error:
            if matching := _beginning_with(session, ask):
                found += matching
            else:
                failures.add(error)
        except HANDLED as error:
            failures.add(error)
    return found


def _beginning_with(session: Session, ask: targets.Ask) -> list[Target]:
    """A name nobody has stands for those that begin with it."""
    if not isinstance(ask, Named):
        return []
    everything = targets.fetch(session, [targets.Listed(ask.resource)])
    return [target for target in everything if target.name.startswith(ask.name)]


def _run(session: Session, args: tuple[str, ...], show_events: str | None, **options: Any) -> None:
    if not args and not options["filename"]:
        raise Failure(
            'error: You must specify the type of resource to describe. Use "kubectl api-resources" for a complete list '
            "of supported resources."
        )
    failures = Collected()
    found = _found(session, args, options, failures)
    events = len(found) < 2 if show_events is None else show_events == "true"
    show = partial(describe.text_of, session, events=events, now=datetime.now(UTC), page_size=options["chunk_size"])
    for position, target in enumerate(found):
        shown = failures.attempt(show, target)
        if shown is not None:
            print(("\n\n" if position else "") + shown, end="")
    if not found and not failures:
        where = "" if options["all_namespaces"] else f" in {session.namespace} namespace."
        print(f"No resources found{where}", file=sys.stderr)
    failures.finish()


VERB = KubectlCommand(
    "describe",
    _run,
    [
        *(flag for flag in flags.CHOOSING if flag.name not in ("all", "field_selector")),
        text(
            "show-events",
            default=None,
            bare="true",
            help="With events; by default when one object is shown.",
        ),
        flags.CHUNK_SIZE,
        arguments(),
    ],
    help="Show objects in detail.",
)
