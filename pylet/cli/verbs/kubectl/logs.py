"""`kubectl logs`. Source: cmd/logs/logs.go."""

from __future__ import annotations

import sys
import threading
from typing import IO, Any

from pylet.api.errors import NotFound
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import pods
from pylet.cli.kubectl.command import KubectlCommand, arguments, number, switch, text
from pylet.cli.kubectl.errors import HANDLED, as_failure
from pylet.cli.kubectl.session import Session, duration_seconds

_USAGE = """expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.
POD or TYPE/NAME is a required argument for the logs command
See 'kubectl logs -h' for help and examples"""


def _streams(session: Session, args: tuple[str, ...], options: dict[str, Any]) -> list[tuple[Object, str]]:
    """The pods and containers to read. Raises: Failure."""
    if options["selector"]:
        if args:
            raise Failure("error: only a selector (-l) or a POD name is allowed")
        path = session.catalog.find("pods").path(session.namespace)
        found = session.api.request("GET", path, query={"labelSelector": options["selector"]}).get("items") or []
        if not found:
            print(f"No resources found in {session.namespace} namespace.", file=sys.stderr)
    else:
        if not args or len(args) > 2:
            raise Failure(f"error: {_USAGE}")
        try:
            _, _, found = pods.behind(session, args[0])
        except NotFound as error:
            raise Failure(f'error: error from server (NotFound): {error} in namespace "{session.namespace}"') from None
        if not found:
            raise Failure(f"error: timed out waiting for the condition: {args[0]} has no pods")
        if len(found) > 1 and not options["all_pods"]:
            name = found[0]["metadata"]["name"]
            print(f"Found {len(found)} pods, using pod/{name}", file=sys.stderr)
            found = found[:1]
    container = options["container"] or (args[1] if len(args) == 2 else "")
    streams = []
    for pod in found:
        if options["all_containers"]:
            streams += [(pod, name) for name in pods.containers_of(pod)]
        else:
            pods.refuse_unknown(pod, container)
            streams.append((pod, container or pods.default_container(pod, quiet=False)))
    return streams


def _query(options: dict[str, Any], *, several: bool) -> dict[str, Any]:
    query: dict[str, Any] = {
        "follow": "true" if options["follow"] else "",
        "previous": "true" if options["previous"] else "",
        "timestamps": "true" if options["timestamps"] else "",
        "sinceTime": options["since_time"],
        "limitBytes": options["limit_bytes"] or "",
    }
    if since := duration_seconds(options["since"] or "0", "--since"):
        query["sinceSeconds"] = int(since)
    if since and options["since_time"]:
        raise Failure("error: at most one of `sinceTime` or `sinceSeconds` may be specified")
    tail = options["tail"]
    if tail < -1:
        raise Failure("error: --tail must be greater than or equal to -1")
    if tail == -1 and several and options["selector"]:
        tail = 10
    if tail >= 0:
        query["tailLines"] = str(tail)
    return query


def _copy(session: Session, pod: Object, container: str, query: dict[str, Any], out: IO[bytes], prefix: bytes) -> None:
    path = session.catalog.find("pods").path(pod["metadata"]["namespace"], pod["metadata"]["name"], "log")
    response = session.api.stream(path, query={**query, "container": container})
    if prefix:
        for line in response:
            out.write(prefix + line)
            out.flush()
        return
    while chunk := response.read1(65536):
        out.write(chunk)
        out.flush()


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    query = _query(options, several=bool(options["selector"]))
    streams = _streams(session, args, options)
    out = sys.stdout.buffer
    limit = options["max_log_requests"]
    if options["follow"] and len(streams) > limit:
        raise Failure(
            f"error: you are attempting to follow {len(streams)} log streams, "
            f"but maximum allowed concurrency is {limit}, use --max-log-requests to increase the limit"
        )

    def copy(pod: Object, container: str) -> None:
        prefix = f"[pod/{pod['metadata']['name']}/{container}] ".encode() if options["prefix"] else b""
        _copy(session, pod, container, query, out, prefix)

    if not options["follow"] or len(streams) < 2:
        for pod, container in streams:
            copy(pod, container)
        return
    errors: list[Failure] = []

    def follow(pod: Object, container: str) -> None:
        try:
            copy(pod, container)
        except HANDLED as error:
            errors.append(as_failure(error))

    threads = [threading.Thread(target=follow, args=stream, daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


VERB = KubectlCommand(
    "logs",
    _run,
    [
        switch("follow", "f", help="Go on while the container writes."),
        switch("previous", "p", help="Of the container before this one."),
        text("container", "c", help="Which container."),
        switch("all-containers", help="All containers of the pod."),
        switch("all-pods", help="All pods of the workload."),
        number("tail", default=-1, help="Only that many lines from the end."),
        text("since", help="Not older than this, as in 5m."),
        text("since-time", help="Not older than this RFC 3339 time."),
        switch("timestamps", help="The time in front of each line."),
        number("limit-bytes", help="No more than that."),
        text("selector", "l", help="Label selector of pods."),
        switch("prefix", help="Where each line comes from in front of it."),
        number("max-log-requests", default=5, help="How many to follow at once."),
        arguments(),
    ],
    help="Show what containers wrote.",
)
