"""`pylet status`: whether the server answers and this machine's node is ready."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta

import click

from pylet.aio import certificate
from pylet.api.errors import NotFound
from pylet.api.object import condition_of, dig
from pylet.cli import installed
from pylet.cli.admin import admin
from pylet.cli.configuration import load_agent, load_server
from pylet.cli.failure import Failure
from pylet.cli.options import BadOption
from pylet.client.kubeconfig import ssl_context

_WARNED_BEFORE = timedelta(days=3 * 365)


def _run(kubeconfig: str, node: str, ready: bool) -> None:
    found_kubeconfig, found_name = _of_this_machine() or ("", socket.gethostname().lower())
    name = node or found_name
    kubeconfig = kubeconfig or os.environ.get("KUBECONFIG") or found_kubeconfig
    with admin(kubeconfig) as api:
        version = api.request("GET", "/version")
        print(f"server   {api.endpoint.server}  {version['gitVersion']}")
        for authority in ssl_context(api.endpoint).get_ca_certs():
            end = certificate.moment(str(authority["notAfter"]))
            if end - datetime.now(UTC) < _WARNED_BEFORE:
                print(f"warning  the cluster's CA ends on {end:%Y-%m-%d}: nothing of it is trusted after that")
        if not name:
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


def _of_this_machine() -> tuple[str, str] | None:
    """Kubeconfig and node name of what was installed here; "" where a server is no node, None where nothing was."""
    for role in installed.ROLES:
        if (environ := installed.environment(role)) is None:
            continue
        try:
            if role == "server":
                server = load_server({}, None, environ)
                return str(server.write_kubeconfig), "" if server.agent is None else server.agent.node_name
            agent = load_agent({}, None, environ)
        except BadOption as bad:
            raise Failure(str(bad), 2) from None
        return str(agent.data_dir / "agent" / "kubelet.kubeconfig"), agent.node_name
    return None


VERB = click.Command(
    "status",
    callback=_run,
    params=[
        click.Option(["--kubeconfig"], default="", metavar="FILE", help="Kubeconfig to reach the server with."),
        click.Option(["--node"], default="", metavar="NAME", help="Node to look at instead of this machine's."),
        click.Option(["--ready"], is_flag=True, help="Exit with 1 unless the node is ready."),
    ],
    help="Say whether the server answers and the node is ready.",
)
