"""`kubectl config`: looking at kubeconfig files, and choosing and changing their contexts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import contexts
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, switch, text
from pylet.cli.kubectl.output import printer
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.tabs import table

_SECRET = {
    "certificate-authority-data": "DATA+OMITTED",
    "client-certificate-data": "DATA+OMITTED",
    "client-key-data": "DATA+OMITTED",
    "token": "REDACTED",
    "password": "REDACTED",
}


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _SECRET[k] if k in _SECRET and v else _redacted(v) for k, v in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value


def _view(session: Session, output: str, raw: bool, minify: bool, flatten: bool) -> None:
    config: Object = session.config
    if minify:
        config = _minified(session, config)
    shown = {field: value or None for field, value in config.items() if field != "preferences" or value}
    shown["current-context"] = config["current-context"]
    print(printer(output or "yaml")(shown if raw or flatten else _redacted(shown)), end="")


def _minified(session: Session, config: Object) -> Object:
    name = session.settings.get("context") or config["current-context"]
    context = next((entry for entry in config["contexts"] if entry["name"] == name), None)
    if context is None:
        raise Failure("error: current-context must exist in order to minify")
    kept = {"contexts": name, "clusters": context["context"]["cluster"], "users": context["context"]["user"]}
    only = {plural: [e for e in config[plural] if e["name"] == kept_name] for plural, kept_name in kept.items()}
    return {**config, "current-context": name, **only}


def _current(session: Session) -> None:
    name = session.config["current-context"]
    if not name:
        raise Failure("error: current-context is not set")
    print(name)


def _contexts(session: Session, no_headers: bool, output: str) -> None:
    config = session.config
    if output == "name":
        print("\n".join(entry["name"] for entry in config["contexts"]))
        return
    rows = [] if no_headers else [["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]]
    for entry in sorted(config["contexts"], key=lambda entry: str(entry["name"])):
        content = entry["context"]
        mark = "*" if entry["name"] == config["current-context"] else ""
        rows.append([mark, entry["name"], content["cluster"], content["user"], content.get("namespace", "")])
    print(table(rows), end="")


def _names(plural: str) -> Callable[..., None]:
    def show(session: Session) -> None:
        print("\n".join(["NAME", *sorted(entry["name"] for entry in session.config[plural])]))

    return show


def _use(session: Session, args: tuple[str, ...]) -> None:
    if len(args) != 1:
        raise Failure(f"error: Unexpected args: [{' '.join(args)}]")
    (name,) = args
    if name not in {entry["name"] for entry in session.config["contexts"]}:
        raise Failure(f"error: no context exists with the name: {json.dumps(name)}")
    with _writing(session):
        contexts.use(session.config_files, name)
    print(f"Switched to context {json.dumps(name)}.")


def _set(session: Session, args: tuple[str, ...], current: bool, **options: Any) -> None:
    if len(args) > 1:
        raise Failure(f"error: Unexpected args: [{' '.join(args)}]")
    if not args and not current:
        raise Failure("error: you must specify a non-empty context name or --current")
    if args and current:
        raise Failure("error: you cannot specify both a context name and --current")
    name = session.config["current-context"] if current else args[0]
    if not name:
        raise Failure("error: no current context is set")
    fields = {field: value for field, value in options.items() if value is not None}
    with _writing(session):
        was_there = contexts.put(session.config_files, name, fields)
    print(f"Context {json.dumps(name)} {'modified' if was_there else 'created'}.")


@contextmanager
def _writing(session: Session) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        told = f"open {error.filename or session.config_files[0]}: {str(error.strerror).lower()}"
        raise Failure(f"error: {told}") from None


VERB = KubectlGroup("config", help="Look at kubeconfig files, and choose contexts.")
VERB.add_command(
    KubectlCommand(
        "view",
        _view,
        [
            text("output", "o", help="yaml, json, jsonpath=…"),
            switch("raw", help="With its secrets."),
            switch("minify", help="Only what the current context uses."),
            switch("flatten", help="With its secrets, in one file."),
        ],
        help="Show the merged kubeconfig.",
    )
)
VERB.add_command(KubectlCommand("current-context", _current, help="Show the current context."))
VERB.add_command(
    KubectlCommand(
        "get-contexts",
        _contexts,
        [switch("no-headers", help="No line of headers."), text("output", "o", help="name")],
        help="List contexts.",
    )
)
for _plural in ("clusters", "users"):
    VERB.add_command(KubectlCommand(f"get-{_plural}", _names(_plural), help=f"List {_plural}."))
VERB.add_command(KubectlCommand("use-context", _use, [arguments()], help="Make a context the current one."))
VERB.add_command(
    KubectlCommand(
        "set-context",
        _set,
        [
            switch("current", help="The current context."),
            text("cluster", default=None, help="Its cluster."),
            text("user", default=None, help="Its user."),
            text("namespace", "n", default=None, help="Its namespace."),
            arguments(),
        ],
        help="Change a context, or make one.",
    )
)
