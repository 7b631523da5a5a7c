"""`pylet status`: whether the server answers and this machine's node is ready."""

from __future__ import annotations

import socket

import click

from pylet.api.errors import NotFound
from pylet.api.object import condition_of, dig
from pylet.cli.admin import admin
from pylet.cli.failure import Failure


def _run(kubeconfig: str, node: str, ready: bool) -> None:
    name = node or socket.gethostname().lower()
    with admin(kubeconfig) as api:
        version = api.request("GET", "/version")
        print(f"server   {api.endpoint.server}  {version['gitVersion']}")
        try:
            found = api.request("GET", f"/api/v1/nodes/{name}")
        except NotFound:
            raise Failure(f"node     {name} has not joined") from None
    condition = condition_of(found, "Ready") or {"status": "Unknown"}
    is_ready = condition["status"] == "True"
    word = "Ready" if is_ready else f"not ready: {condition.get('message', 'it has not reported yet')}"
    print(f"node     {name}  {word}  {dig(found, 'status', 'nodeInfo', 'kubeletVersion', default='')}")
    if ready and not is_ready:
        raise Failure("", 1)


VERB = click.Command(
    "status",
    callback=_run,
    params=[
        click.Option(["--kubeconfig"], default="", metavar="FILE", help="Kubeconfig to reach the server with."),
        click.Option(["--node"], default="", metavar="NAME", help="Node to look at instead of this machine's."),
        click.Option(["--ready"], is_flag=True, help="Exit with 1 unless the node is ready."),
    ],
    help="Say whether the server answers and this machine's node is ready.",
)
