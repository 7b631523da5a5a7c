"""`kubectl api-resources`. Source: cmd/apiresources."""

from __future__ import annotations

from typing import Any

from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import KubectlCommand, switch, text
from pylet.cli.kubectl.resources import Resource
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.tabs import table


def _run(session: Session, output: str, api_group: str | None, verbs: str, categories: str, **options: Any) -> None:
    if output not in ("", "wide", "name"):
        raise Failure(f"error: --output {output} is not available")
    wanted = set(filter(None, verbs.split(",")))
    groups = set(filter(None, categories.split(",")))
    found = [
        resource
        for resource in session.catalog.discovered
        if resource.verbs
        and (api_group is None or resource.group == api_group)
        and options["namespaced"] in ("", str(resource.namespaced).lower())
        and wanted <= set(resource.verbs)
        and groups <= set(resource.categories)
    ]
    preferred = {(r.group, r.plural): r for r in reversed(found)}
    found = [r for r in found if preferred[r.group, r.plural] is r]
    if options["sort_by"] == "kind":
        found.sort(key=lambda r: r.kind)
    elif options["sort_by"] == "name":
        found.sort(key=lambda r: r.plural)
    else:
        found.sort(key=lambda r: (r.group, r.plural))
    if output == "name":
        print("\n".join(resource.qualified for resource in found))
        return
    headers = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    lines = [] if options["no_headers"] else [[*headers, *(["VERBS", "CATEGORIES"] if output == "wide" else [])]]
    lines += [_line(resource, wide=output == "wide") for resource in found]
    print(table(lines), end="")


def _line(resource: Resource, *, wide: bool) -> list[str]:
    line = [
        resource.plural,
        ",".join(resource.short_names),
        resource.api_version,
        str(resource.namespaced).lower(),
        resource.kind,
    ]
    return [*line, ",".join(resource.verbs), ",".join(resource.categories)] if wide else line


VERB = KubectlCommand(
    "api-resources",
    _run,
    [
        text("output", "o", help="wide or name"),
        text("api-group", default=None, help="Of one group."),
        text("namespaced", bare="true", help="true or false"),
        text("verbs", help="That can all of these."),
        text("categories", help="That are in all of these."),
        text("sort-by", help="name or kind"),
        switch("no-headers", help="No line of headers."),
        switch("cached", help="Accepted; nothing is cached."),
    ],
    help="Show what kinds the server has.",
)
