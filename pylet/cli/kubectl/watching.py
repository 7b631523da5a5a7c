"""Objects as they are and as they change, for verbs that wait for something of one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pylet.api.errors import Expired
from pylet.api.object import Object
from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.targets import Target

LONG_SECONDS = 7 * 86400.0
"""What kubectl waits where it is to wait without an end."""
_WATCH_SECONDS = 300


def states(api: Api, target: Target, deadline: float) -> Iterator[Object | None]:
    """The object now and after each change, None while there is none; ends at the deadline, on the monotonic clock.

    Raises: ApiError, ConnectionFailed.
    """
    return first(
        api, target.resource.path(target.namespace), {"fieldSelector": f"metadata.name={target.name}"}, deadline
    )


def first(api: Api, path: str, query: Mapping[str, Any], deadline: float) -> Iterator[Object | None]:
    """As `states`, of what a list has first; where it has several, all that counts is whether it has one."""
    seen: Any = ()
    while True:
        listed = api.request("GET", path, query=query)
        now = next(iter(listed.get("items") or ()), None)
        if now != seen:
            yield now
        seen = now
        if (left := deadline - time.monotonic()) <= 0:
            return
        since = {
            "resourceVersion": listed["metadata"]["resourceVersion"],
            "timeoutSeconds": max(1, int(min(left, _WATCH_SECONDS))),
        }
        with suppress(Expired):
            for event in api.watch(path, {**query, **since}):
                if event["type"] == "ERROR":
                    break
                if event["type"] != "BOOKMARK":
                    seen = None if event["type"] == "DELETED" else event["object"]
                    yield seen
