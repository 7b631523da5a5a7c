"""Deleting one object and waiting until it is gone: what `delete`, `replace --force` and `run --rm` share."""

from __future__ import annotations

import time

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import watching
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.targets import Target

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
    return time.monotonic() + (duration_seconds(timeout, "--timeout") or watching.LONG_SECONDS)


def wait(session: Session, target: Target, uid: str, deadline: float) -> None:
    """Returns when the object is gone, or another one has its name. Raises: Failure at the deadline."""
    for found in watching.states(session.api, target, deadline):
        if found is None or (uid and found["metadata"].get("uid") != uid):
            return
    raise Failure(f"error: timed out waiting for the condition on {target.indexed}")
