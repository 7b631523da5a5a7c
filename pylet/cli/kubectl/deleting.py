"""Deleting one object and waiting until it is gone: what `delete`, `replace --force` and `run --rm` share."""

from __future__ import annotations

import time

from pylet.api.errors import Expired, NotFound
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.targets import Target

_LONG_SECONDS = 7 * 86400.0
_POLICIES = {
    "background": "Background",
    "true": "Background",
    "foreground": "Foreground",
    "orphan": "Orphan",
    "false": "Orphan",
}


def policy(cascade: str) -> str:
    """What --cascade asks of the server. Raises: Failure."""
    if cascade not in _POLICIES:
        raise Failure(f'error: invalid cascade value ({cascade}). Must be "background", "foreground", or "orphan".')
    return _POLICIES[cascade]


def delete(session: Session, target: Target, options: Object) -> str:
    """The uid of what is being deleted. Raises: ApiError."""
    body = {"kind": "DeleteOptions", "apiVersion": "v1", **options}
    answer = session.api.request("DELETE", target.path, body=body)
    return (answer.get("details") or {}).get("uid") or (answer.get("metadata") or {}).get("uid") or ""


def whence(target: Target) -> str:
    """` from default namespace`, as messages end; "" for what has no namespace."""
    return f" from {target.namespace} namespace" if target.namespace else ""


def deadline(timeout: str) -> float:
    """On the monotonic clock, for the text of --timeout, where 0 stands for long. Raises: Failure."""
    return time.monotonic() + (duration_seconds(timeout, "--timeout") or _LONG_SECONDS)


def wait(session: Session, target: Target, uid: str, deadline: float) -> None:
    """Returns when the object is gone, or another one has its name. Raises: Failure at the deadline."""
    path = target.resource.path(target.namespace)
    while True:
        try:
            found = session.api.request("GET", target.path)
        except NotFound:
            return
        if uid and found["metadata"].get("uid") != uid:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise Failure(f"error: timed out waiting for the condition on {target.resource.plural}/{target.name}")
        query = {
            "fieldSelector": f"metadata.name={target.name}",
            "resourceVersion": found["metadata"]["resourceVersion"],
            "timeoutSeconds": max(1, min(300, int(left))),
        }
        try:
            for event in session.api.watch(path, query):
                if event["type"] in ("DELETED", "ERROR"):
                    break
        except Expired:
            continue
