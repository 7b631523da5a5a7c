"""`pylet server`: the API, scheduler and controllers, and a node unless told otherwise."""

import os
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import click

from pylet.agent.config import AgentConfig
from pylet.api.clustersettings import ClusterSettings
from pylet.cli.configuration import load_server
from pylet.cli.failure import Failure
from pylet.cli.flags import given, parameters, require_root, require_writable
from pylet.cli.options import BadOption


def _run(config_file: Path | None, **params: Any) -> None:
    try:
        config = load_server(given("server", params), config_file, os.environ)
    except BadOption as error:
        raise Failure(f"pylet server: {error}", 2) from None
    if config.agent is not None and (trouble := require_root()):
        raise Failure(f"pylet server: {trouble}; --disable-agent runs none", 2)
    places = ((config.data_dir, "data-dir"), (config.write_kubeconfig.parent, "write-kubeconfig"))
    for trouble in (require_writable(folder, flag) for folder, flag in places):
        if trouble:
            raise Failure(f"pylet server: {trouble}", 2)
    try:
        from pylet.server import run
    except ModuleNotFoundError as error:
        raise Failure(f"pylet server: the Python package {error.name} is missing: install pylet again", 2) from None
    run.main(config, None if config.agent is None else _node_of(config.agent, config.cluster))


def _node_of(config: AgentConfig, cluster: ClusterSettings) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """The embedded agent: a node like any other, that reaches the API without a connection."""

    async def beside(running: Any) -> None:
        import asyncio

        from pylet.agent import run, site
        from pylet.agent.join import Credentials, JoinError
        from pylet.aio import services
        from pylet.aio.clock import SystemClock
        from pylet.server.place import Unusable

        loopback = running.node(config.node_name)
        serving = partial(asyncio.to_thread, running.authority.kubelet_serving, config.node_name)
        api = site.Api(loopback, loopback, running.pki.ca.certificate, serving=serving)
        try:
            await run.run_node(config, cluster, api, Credentials(config.data_dir / "agent"), SystemClock())
        except* (site.Unusable, JoinError) as group:
            problems = "; ".join(str(problem) for problem in services.leaves(group))
            raise Unusable(problems) from None

    return beside


VERB = click.Command(
    "server",
    callback=_run,
    params=parameters("server"),
    help="Run the control plane, and a node in the same process.",
)
