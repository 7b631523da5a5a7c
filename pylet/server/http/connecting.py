"""The options of a connection, as admission sees them: what its URL asks for.

Source: apiserver pkg/endpoints/handlers/rest.go (ConnectResource), pkg/apis/core PodExecOptions and its like.
"""

from __future__ import annotations

from typing import Any

from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.server.http.request_info import RequestInfo

_KINDS = {
    ("pods", "exec"): "PodExecOptions",
    ("pods", "attach"): "PodAttachOptions",
    ("pods", "portforward"): "PodPortForwardOptions",
    ("pods", "proxy"): "PodProxyOptions",
    ("services", "proxy"): "ServiceProxyOptions",
    ("nodes", "proxy"): "NodeProxyOptions",
}
_TRUE = ("1", "true", "t", "T", "TRUE", "True", "")


def connect_options(info: RequestInfo, query: Any) -> Object | None:
    """None for what is no connection; `query` is a multidict. Raises: BadRequest."""
    kind = _KINDS.get((info.resource, info.subresource))
    if kind is None or info.group:
        return None
    if "dryRun" in query:
        raise BadRequest("dryRun is not supported")
    options: Object = {"kind": kind, "apiVersion": "v1"}
    match info.subresource:
        case "proxy":
            options |= {"path": "/" + "/".join(info.rest)} if info.rest else {}
        case "portforward":
            ports = [int(port) for port in query.getall("ports", []) if port.isdigit()]
            options |= {"ports": ports} if ports else {}
        case _:
            options |= {name: True for name in ("stdin", "stdout", "stderr", "tty") if query.get(name, "0") in _TRUE}
            options |= {"container": query["container"]} if query.get("container") else {}
            command = query.getall("command", []) if info.subresource == "exec" else []
            options |= {"command": command} if command else {}
    return options
