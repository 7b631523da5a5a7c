"""`pylet kubeconfig`: print a kubeconfig of the administrator, or of this machine's node, for use elsewhere."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import click

from pylet.cli.failure import Failure
from pylet.cli.kubectl.documents import to_yaml

_ADMIN = Path("/etc/pylet/pylet.yaml")
_NODE = Path("/var/lib/pylet/agent/kubeconfig")
_EMBEDDED = {"cluster": ("certificate-authority",), "user": ("client-certificate", "client-key")}


def _run(file: Path | None, node: bool, server: str) -> None:
    import yaml

    path = file or (_NODE if node else _ADMIN)
    try:
        config: Any = yaml.load(path.read_text(), yaml.CSafeLoader)
        config = _flattened(config, path.parent)
    except OSError as error:
        reason = str(error.strerror).lower()
        raise Failure(f"{path}: {reason}: run this on the server, as root, or name another file with --file") from None
    except yaml.YAMLError:
        raise Failure(f"{path}: not a kubeconfig") from None
    if server:
        for entry in config.get("clusters") or ():
            entry["cluster"]["server"] = server
    sys.stdout.write(to_yaml(config))


def _flattened(config: Any, folder: Path) -> Any:
    """The kubeconfig with what it names by path inside it, so that it can be carried away. Raises: OSError."""
    for field, names in _EMBEDDED.items():
        for entry in config.get(f"{field}s") or ():
            for name in names:
                if path := entry[field].pop(name, None):
                    data = (folder / path).read_bytes()
                    entry[field][f"{name}-data"] = base64.b64encode(data).decode()
    return config


VERB = click.Command(
    "kubeconfig",
    callback=_run,
    params=[
        click.Option(
            ["--file"], type=click.Path(path_type=Path), metavar="FILE", help=f"What to print.  [default: {_ADMIN}]"
        ),
        click.Option(["--node"], is_flag=True, help=f"This machine's node instead: {_NODE}."),
        click.Option(["--server"], default="", metavar="URL", help="Put this address of the server into it."),
    ],
    help="Print a kubeconfig that reaches the cluster.",
)
