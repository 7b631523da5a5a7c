"""`kubectl cluster-info`."""

from __future__ import annotations

import sys

from pylet.cli.kubectl.command import KubectlCommand
from pylet.cli.kubectl.session import Session


def _run(session: Session) -> None:
    path = session.catalog.find("services").path("kube-system")
    services = session.api.request("GET", path, query={"labelSelector": "kubernetes.io/cluster-service=true"})
    bold, end = ("\x1b[0;32m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    link = "\x1b[0;33m" if bold else ""
    server = session.endpoint.server
    print(f"{bold}Kubernetes control plane{end} is running at {link}{server}{end}")
    for service in services.get("items") or ():
        meta = service["metadata"]
        name = (meta.get("labels") or {}).get("kubernetes.io/name") or meta["name"]
        port = (service["spec"].get("ports") or [{}])[0].get("name", "")
        url = f"{server}/api/v1/namespaces/kube-system/services/{meta['name']}{f':{port}' if port else ''}/proxy"
        print(f"{bold}{name}{end} is running at {link}{url}{end}")
    print("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")


VERB = KubectlCommand("cluster-info", _run, help="Show where the cluster is.")
