"""`kubectl api-versions`."""

from __future__ import annotations

from pylet.cli.kubectl.command import KubectlCommand
from pylet.cli.kubectl.session import Session


def _run(session: Session) -> None:
    groups = session.api.request("GET", "/apis").get("groups") or ()
    versions = session.api.request("GET", "/api").get("versions") or ()
    found = [*versions, *(version["groupVersion"] for group in groups for version in group["versions"])]
    print("\n".join(sorted(found)))


VERB = KubectlCommand("api-versions", _run, help="Show what API versions the server has.")
