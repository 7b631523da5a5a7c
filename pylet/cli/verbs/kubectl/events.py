"""`kubectl events`. Source: cmd/events."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, output, targets
from pylet.cli.kubectl.command import KubectlCommand, many, switch, text
from pylet.cli.kubectl.creating.maker import words
from pylet.cli.kubectl.describe.page import seen
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.tabs import Columns

_HEADERS = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]


def _run(session: Session, all_namespaces: bool, watch: bool, types: tuple[str, ...], **options: Any) -> None:
    kept = {type_.lower() for type_ in words(types)}
    if kept - {"normal", "warning"}:
        raise Failure("error: valid --types are Normal or Warning")
    namespace = "" if all_namespaces else session.namespace
    path = session.catalog.find("events").path(namespace)
    query = {"fieldSelector": _about(session, options["for"]), "limit": options["chunk_size"]}
    show = _printer(options["output"], everywhere=all_namespaces, no_headers=options["no_headers"])
    if watch:
        for change in session.api.watch(path, query):
            if change["type"] in ("ADDED", "MODIFIED") and _is_kept(change["object"], kept):
                print(show([change["object"]], False), end="", flush=True)
        return
    events = [event for event in targets.pages(session.api, path, query)[1] if _is_kept(event, kept)]
    if events:
        print(show(sorted(events, key=_time), True), end="")
    else:
        print(f"No events found{f' in {namespace} namespace' if namespace else ''}.", file=sys.stderr)


def _about(session: Session, name: str) -> str:
    """The field selector of the object's events."""
    if not name:
        return ""
    if "/" not in name:
        raise Failure("error: --for must be in resource/name form")
    (ask,) = targets.parse([name], session.catalog)
    assert isinstance(ask, targets.Named)
    involved = {"kind": ask.resource.kind, "apiVersion": ask.resource.api_version, "name": ask.name}
    return ",".join(f"involvedObject.{field}={value}" for field, value in involved.items())


def _is_kept(event: Object, kept: set[str]) -> bool:
    return not kept or str(event.get("type", "")).lower() in kept


def _time(event: Object) -> str:
    last = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp")
    return str(last or event.get("eventTime") or "")


def _printer(spec: str, *, everywhere: bool, no_headers: bool) -> Callable[[list[Object], bool], str]:
    """What shows events, all of them as a list or some as they come."""
    if spec:
        document = output.printer(spec)
        end = "" if spec != "yaml" else "---\n"
        return lambda events, whole: (
            document({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": events})
            if whole
            else "".join(document(event) + end for event in events)
        )
    columns = Columns()
    headers = [] if no_headers else [[*(["NAMESPACE"] if everywhere else []), *_HEADERS]]

    def show(events: list[Object], whole: bool) -> str:
        now = datetime.now(UTC)
        rows = [*headers, *(_row(event, now, everywhere=everywhere) for event in events)]
        headers.clear()
        return columns.lines(rows)

    return show


def _row(event: Object, now: datetime, *, everywhere: bool) -> list[str]:
    about = event.get("involvedObject") or {}
    return [
        *([event["metadata"].get("namespace", "")] if everywhere else []),
        seen(event, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{about.get('kind', '')}/{about.get('name', '')}",
        event.get("message", "").strip(),
    ]


VERB = KubectlCommand(
    "events",
    _run,
    [
        flags.ALL_NAMESPACES,
        switch("watch", "w", help="Go on with those that come."),
        text("for", help="TYPE/NAME of the object they are about."),
        many("types", help="Normal, Warning"),
        switch("no-headers", help="No line of headers."),
        flags.CHUNK_SIZE,
        text("output", "o", help="json, yaml, name, jsonpath=…"),
    ],
    help="Show events.",
)
