"""`kubectl version`."""

from __future__ import annotations

from typing import Any

from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import KubectlCommand, switch, text
from pylet.cli.kubectl.documents import to_json, to_yaml
from pylet.cli.kubectl.session import Session
from pylet.version import VERSION


def _run(session: Session, client: bool, output: str) -> None:
    own = {"gitVersion": VERSION, "major": VERSION[1:].split(".")[0], "minor": VERSION.split(".")[1]}
    versions: dict[str, Any] = {"clientVersion": own}
    if not client:
        versions["serverVersion"] = session.api.request("GET", "/version")
    match output:
        case "json":
            print(to_json(versions), end="")
        case "yaml":
            print(to_yaml(versions), end="")
        case "":
            print(f"Client Version: {VERSION}")
            if not client:
                print(f"Server Version: {versions['serverVersion']['gitVersion']}")
        case _:
            raise Failure("error: --output must be 'yaml' or 'json'")


VERB = KubectlCommand(
    "version",
    _run,
    [switch("client", help="This program's alone."), text("output", "o", help="yaml or json")],
    help="Show versions.",
)
