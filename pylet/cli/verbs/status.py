"""`pylet status`: whether the server answers and this machine's node is ready."""

from __future__ import annotations

import os
import socket

import click

from pylet.api.errors import NotFound
from pylet.api.object import condition_of, dig
from pylet.cli.admin import admin
from pylet.cli.configuration import load_agent, load_server
from pylet.cli.failure import Failure
from pylet.cli.options import BadOption


def _run(kubeconfig: str, node: str, role: str | None, ready: bool) -> None:
    own_kubeconfig, own_name = _of_this_machine(role) if role else ("", "")
    kubeconfig = kubeconfig or own_kubeconfig
    name = node or own_name or socket.gethostname().lower()
    with admin(kubeconfig) as api:
        version = api.request("GET", "/version")
        print(f"server   {api.endpoint.server}  {version['gitVersion']}")
        if role == "server" and not own_name and not node:
            return
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


def _of_this_machine(role: str) -> tuple[str, str]:
    """Kubeconfig and node name of what was set up here; no name where a server is no node. Raises: Failure."""
    try:
        if role == "agent":
            agent = load_agent({}, None, os.environ)
            return str(agent.data_dir / "agent" / "kubelet.kubeconfig"), agent.node_name
        server = load_server({}, None, os.environ)
    except BadOption as bad:
        raise Failure(str(bad), 2) from None
    return str(server.write_kubeconfig), "" if server.agent is None else server.agent.node_name


VERB = click.Command(
    "status",
    callback=_run,
    params=[
        click.Option(["--kubeconfig"], default="", metavar="FILE", help="Kubeconfig to reach the server with."),
        click.Option(["--node"], default="", metavar="NAME", help="Node to look at instead of this machine's."),
        click.Option(
            ["--role"],
            type=click.Choice(["server", "agent"]),
            help="Use the settings of this machine's server or agent.",
        ),
        click.Option(["--ready"], is_flag=True, help="Exit with 1 unless the node is ready."),
    ],
    help="Say whether the server answers and this machine's node is ready.",
)
