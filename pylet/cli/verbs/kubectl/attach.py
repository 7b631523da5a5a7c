"""`kubectl attach`. Source: cmd/attach/attach.go."""

from __future__ import annotations

from typing import Any

from pylet.cli.failure import Failure
from pylet.cli.kubectl import attaching, pods
from pylet.cli.kubectl.command import KubectlCommand, arguments, switch, text
from pylet.cli.kubectl.session import Session, duration_seconds


def _run(session: Session, args: tuple[str, ...], container: str, **options: Any) -> None:
    if not args:
        raise Failure("error: at least 1 argument is required for attach")
    if len(args) > 2:
        told = f"expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {len(args)}: [{' '.join(args)}]"
        raise Failure(f"error: {told}")
    timeout = duration_seconds(options["pod_running_timeout"], "--pod-running-timeout")
    _, _, (pod, *_) = pods.wait_behind(session, "/".join(args), timeout)
    attaching.refuse_ended(pod)
    pods.refuse_unknown(pod, container)
    wanted = {name: options[name] for name in ("stdin", "tty", "quiet")}
    attaching.attach(session, pod, container=container, **wanted)


VERB = KubectlCommand(
    "attach",
    _run,
    [
        text("container", "c", help="Which container."),
        switch("stdin", "i", help="Send standard input."),
        switch("tty", "t", help="Standard input is a terminal."),
        switch("quiet", "q", help="Say nothing but what the container says."),
        text("pod-running-timeout", default="1m0s", help="How long to wait for a pod."),
        arguments(),
    ],
    help="Attach to a running container.",
)
