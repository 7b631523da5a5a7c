"""`kubectl get`: one or many objects of any kind, as the server's table or as documents. Source: cmd/get/get.go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pylet.api.errors import BadRequest, NotFound
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, output, targets
from pylet.cli.kubectl.command import KubectlCommand, arguments, many, switch, text
from pylet.cli.kubectl.documents import as_list
from pylet.cli.kubectl.errors import HANDLED, Collected
from pylet.cli.kubectl.http import JSON
from pylet.cli.kubectl.resources import Resource
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.tables import ACCEPT, TablePrinter
from pylet.cli.kubectl.targets import Listed, Named

_NO_TYPE = """\
You must specify the type of resource to get. Use "kubectl api-resources" for a complete list of supported resources.

error: Required resource not specified.
Use "kubectl explain <resource>" for a detailed description of that resource (e.g. kubectl explain pods).
See 'kubectl get -h' for help and examples"""


class _Get:
    """The options of one run, and the ways through it."""

    def __init__(self, session: Session, options: dict[str, Any]) -> None:
        self.session = session
        self.options = options
        self.everywhere: bool = options["all_namespaces"]
        self.human = options["output"] in ("", "wide")
        self.accept = ACCEPT if options["server_print"] else JSON
        self.query = {
            "labelSelector": options["selector"],
            "fieldSelector": options["field_selector"],
            "limit": options["chunk_size"] if not options["sort_by"] else 0,
        }

    def asks(self, args: Sequence[str], failures: Collected) -> list[tuple[targets.Ask, str]]:
        """What to get, and in which namespace; `failures` are of files that hold no object."""
        if filenames := self.options["filename"]:
            from pylet.cli.kubectl import manifests

            found = manifests.good(self.session, filenames, failures, recursive=self.options["recursive"])
            return [(Named(target.resource, target.name), target.namespace) for target in found]
        if not args:
            raise Failure(_NO_TYPE)
        asks = targets.parse(
            args,
            self.session.catalog,
            everything=True,
            selecting=bool(self.query["labelSelector"] or self.query["fieldSelector"]),
            all_namespaces=self.everywhere,
        )
        namespace = "" if self.everywhere else self.session.namespace
        return [(ask, namespace if ask.resource.namespaced else "") for ask in asks]

    def path(self, ask: targets.Ask, namespace: str) -> str:
        if isinstance(ask, Named):
            return ask.resource.path(namespace, ask.name, self.options["subresource"])
        return ask.resource.path(namespace)

    def table_printer(self, resource: Resource, *, several: bool, namespaces: bool) -> TablePrinter:
        return TablePrinter(
            wide=self.options["output"] == "wide",
            no_headers=self.options["no_headers"],
            with_namespace=namespaces,
            prefix=resource.label if several or self.options["show_kind"] else "",
            show_labels=self.options["show_labels"],
            label_columns=[key for value in self.options["label_columns"] for key in value.split(",")],
        )

    def attempted(self, step: Callable[[], Any], failures: Collected) -> Any:
        """The step's result, None where it failed; what is absent is no failure under --ignore-not-found."""
        try:
            return step()
        except HANDLED as error:
            if not (isinstance(error, NotFound) and self.options["ignore_not_found"]):
                failures.add(error)
            return None

    # ---- tables

    def tables(self, args: Sequence[str]) -> None:
        failures = Collected()
        asks = self.asks(args, failures)
        groups: dict[Resource, list[Object]] = {}
        for ask, namespace in asks:
            pages = self.attempted(partial(self._pages, ask, namespace), failures)
            groups.setdefault(ask.resource, []).extend(pages or ())
        filled = {resource: tables for resource, tables in groups.items() if any(map(_rows, tables))}
        namespaces = self.everywhere and any(resource.namespaced for resource in groups)
        for number_, (resource, tables) in enumerate(filled.items()):
            if number_ and not self.options["no_headers"]:
                print()
            printer = self.table_printer(resource, several=len(groups) > 1, namespaces=namespaces)
            print(printer.lines(self._one(tables)), end="")
        if not filled and not failures and not self.options["ignore_not_found"]:
            local = not self.everywhere and all(ask.resource.namespaced for ask, _ in asks)
            where = f" in {self.session.namespace} namespace." if local else ""
            print(f"No resources found{where}", file=sys.stderr)
        failures.finish()

    def _pages(self, ask: targets.Ask, namespace: str) -> list[Object]:
        query = dict(self.query) if isinstance(ask, Listed) else {}
        if self.options["sort_by"]:
            query["includeObject"] = "Object"
        pages: list[Object] = []
        more: str | None = ""
        while more is not None:
            query["continue"] = more
            try:
                page = self.session.api.request("GET", self.path(ask, namespace), query=query, accept=self.accept)
            except BadRequest as error:
                raise targets.explained(error, ask.resource, query) from None
            pages.append(page)
            more = page.get("metadata", {}).get("continue") or None
        return pages

    def _one(self, tables: Sequence[Object]) -> Object:
        """One table of several pages, sorted when that is asked for."""
        if tables[0].get("kind") != "Table":
            items = [item for table in tables for item in output.items_of(table)]
            return {"items": [items[i] for i in self._order(items)] if self.options["sort_by"] else items}
        rows = [row for table in tables for row in table.get("rows") or ()]
        if self.options["sort_by"]:
            order = self._order([row["object"] for row in rows])
            rows = [rows[i] for i in order]
        return {**tables[0], "rows": rows}

    def _order(self, objects: Sequence[Object]) -> list[int]:
        from pylet.cli.kubectl.templates import sort_key

        return sort_key(self.options["sort_by"])(objects)

    # ---- documents

    def documents(self, args: Sequence[str]) -> None:
        show = output.printer(
            self.options["output"],
            managed_fields=self.options["show_managed_fields"],
            no_headers=self.options["no_headers"],
            missing_keys=self.options["allow_missing_template_keys"],
        )
        failures = Collected()
        asks = self.asks(args, failures)
        items: list[Object] = []
        for ask, namespace in asks:
            found = self.attempted(partial(self._objects, ask, namespace), failures)
            items += found or ()
        single = len(asks) == 1 and isinstance(asks[0][0], Named)
        if not items and (single or self.options["ignore_not_found"]):
            failures.finish()
            return
        if self.options["sort_by"]:
            items = [items[i] for i in self._order(items)]
        print(show(items[0] if single else as_list(items)), end="")
        failures.finish()

    def _objects(self, ask: targets.Ask, namespace: str) -> list[Object]:
        if isinstance(ask, Named):
            return [self.session.api.request("GET", self.path(ask, namespace))]
        return targets.pages(self.session.api, self.path(ask, namespace), self.query)[1]

    # ---- watching

    def watch(self, args: Sequence[str]) -> None:
        failures = Collected()
        asks = self.asks(args, failures)
        failures.finish()
        if len({ask.resource for ask, _ in asks}) > 1:
            raise Failure("error: you may only specify a single resource type")
        ask, namespace = asks[0]
        accept = self.accept if self.human else "application/json"
        query = dict(self.query)
        first = self.session.api.request("GET", self.path(ask, namespace), query=query, accept=accept)
        if isinstance(ask, Named):
            query = {"fieldSelector": f"metadata.name={ask.name}"}
        write = self._watcher(ask.resource)
        if not self.options["watch_only"]:
            for item in [first] if self.human else output.items_of(first):
                write("ADDED", item)
        query["resourceVersion"] = _revision(first)
        for event in self.session.api.watch(ask.resource.path(namespace), query, accept=accept):
            if event["type"] == "ERROR":
                raise Failure(f"Error from server: {event['object'].get('message', '')}")
            if event["type"] != "BOOKMARK":
                write(event["type"], event["object"])

    def _watcher(self, resource: Resource) -> Callable[[str, Object], None]:
        events = self.options["output_watch_events"]
        if self.human:
            table = self.table_printer(resource, several=False, namespaces=self.everywhere and resource.namespaced)
            return lambda type_, item: print(table.lines(item, type_ if events else ""), end="", flush=True)
        show = output.printer(self.options["output"], managed_fields=self.options["show_managed_fields"])
        end = "---\n" if self.options["output"] == "yaml" else ""
        return lambda type_, item: print(show({"type": type_, "object": item} if events else item), end=end, flush=True)


def _rows(table: Object) -> Any:
    return table.get("rows") if table.get("kind") == "Table" else output.items_of(table)


def _revision(answer: Object) -> str:
    revision = answer.get("metadata", {}).get("resourceVersion")
    if not revision and answer.get("rows"):
        revision = answer["rows"][0]["object"]["metadata"].get("resourceVersion")
    return revision or ""


def _run(session: Session, args: tuple[str, ...], raw: str, watch: bool, **options: Any) -> None:
    if raw:
        sys.stdout.buffer.write(session.api.stream(raw).read())
        return
    if options["output_watch_events"] and not (watch or options["watch_only"]):
        raise Failure("error: --output-watch-events option can only be used with --watch or --watch-only")
    get = _Get(session, options)
    if watch or options["watch_only"]:
        get.watch(args)
    elif get.human:
        get.tables(args)
    else:
        get.documents(args)


VERB = KubectlCommand(
    "get",
    _run,
    [
        text("output", "o", help="wide, json, yaml, name, jsonpath=…, custom-columns=…"),
        flags.ALL_NAMESPACES,
        flags.SELECTOR,
        text("field-selector", help="Field selector."),
        switch("watch", "w", help="Watch for changes after listing."),
        switch("watch-only", help="Watch for changes without listing."),
        switch("output-watch-events", help="Show the events' types too."),
        switch("no-headers", help="No line of headers."),
        switch("show-labels", help="Labels as the last column."),
        switch("show-kind", help="The kind in front of names."),
        many("label-columns", "L", help="Labels to show as columns."),
        text("sort-by", help="JSONPath to sort by."),
        switch("ignore-not-found", help="What is absent is no error."),
        flags.SHOW_MANAGED_FIELDS,
        *flags.FILES,
        flags.CHUNK_SIZE,
        switch("server-print", default=True, help="Have the server choose the columns."),
        switch("allow-missing-template-keys", default=True, help="What a template does not find is no error."),
        flags.SUBRESOURCE,
        text("raw", help="A path to get as it is."),
        arguments(),
    ],
    help="Show objects.",
)
