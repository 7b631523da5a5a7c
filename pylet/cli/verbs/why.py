"""`pylet why pod/web-1`: the chain of causes for what is not as it should be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import KubectlCommand, arguments
from pylet.cli.kubectl.session import Session


def _run(session: Session, args: tuple[str, ...], **_: Any) -> None:
    from pylet.api.kind import Kind
    from pylet.api.object import Object
    from pylet.cli.why import World, explain, lines

    what, name = _named(args)
    resource = session.catalog.find(what)
    namespace = session.namespace if resource.namespaced else ""
    obj: Object = session.api.request("GET", resource.path(namespace, name))

    def read(kind: Kind) -> list[Object]:
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        return list(session.api.request("GET", f"{root}/{kind.plural}")["items"])

    shown = f"{resource.label}/{name}"
    causes = explain(obj, World(read, datetime.now(UTC)))
    if not causes:
        print(f"{shown} is as it should be")
        return
    print(shown)
    for line in lines(causes):
        print(line)


def _named(args: tuple[str, ...]) -> tuple[str, str]:
    match args:
        case (one,) if "/" in one:
            what, _, name = one.partition("/")
            return what, name
        case (what, name):
            return what, name
    raise Failure("name one object, as in: pylet why pod/NAME, pylet why deploy NAME -n NAMESPACE", 2)


VERB = KubectlCommand("why", _run, [arguments()], help="Tell why an object is not as it should be.")
