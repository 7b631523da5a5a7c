"""Attaching to a pod's container: what `attach` and `run -i` share."""

from __future__ import annotations

import sys
import time

from pylet.api.containers import planned
from pylet.api.object import Object, dig
from pylet.cli.failure import Failure
from pylet.cli.kubectl import pods, remote
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target
from pylet.cli.kubectl.targets import target_of as _target_of

_RECORDED = (  # of the terminal's session, in kubectl's words
    "All commands and output from this session will be recorded in container logs, including credentials and sensitive "
    "information passed through the command prompt."
)


def target_of(session: Session, pod: Object) -> Target:
    return _target_of(session.catalog.find("pods"), pod)


def wait_running(session: Session, pod: Object, timeout_seconds: float) -> Object:
    """The pod as soon as it runs and is ready, or has ended. Raises: Failure."""
    path = target_of(session, pod).path
    deadline = time.monotonic() + timeout_seconds
    while True:
        found: Object = session.api.request("GET", path)
        phase = dig(found, "status", "phase")
        started = [dig(status, "state", "running") for status in dig(found, "status", "containerStatuses", default=())]
        if phase in ("Succeeded", "Failed") or (phase == "Running" and all(started)):
            return found
        if time.monotonic() > deadline:
            raise Failure("error: timed out waiting for the condition")
        time.sleep(0.2)


def attach(session: Session, pod: Object, *, container: str = "", stdin: bool, tty: bool, quiet: bool) -> None:
    """Connects the terminal with the container until that ends. Raises: Failure with its exit status."""
    name = container or pods.default_container(pod, quiet=quiet)
    spec = next(container for container in planned(pod["spec"]) if container["name"] == name)
    if tty and not spec.get("tty"):
        tty = False
        if not quiet:
            print(f"error: Unable to use a TTY - container {name} did not allocate one", file=sys.stderr)
    terminal = tty and stdin and sys.stdin.isatty()
    if not quiet and stdin:
        print(_RECORDED, file=sys.stderr)
        if spec.get("stdin"):
            print("If you don't see a command prompt, try pressing enter.", file=sys.stderr)
    query = {
        "container": name,
        "stdin": "true" if stdin else "",
        "stdout": "true",
        "stderr": "" if tty else "true",
        "tty": "true" if tty else "",
    }
    target = target_of(session, pod)
    path = target.resource.path(target.namespace, target.name, "attach")
    remote.run(session.api, session.api.target(path, query), stdin=stdin, tty=terminal)


def show_log(session: Session, pod: Object) -> None:
    """What a container said that had ended before anybody could attach to it."""
    target = target_of(session, pod)
    path = target.resource.path(target.namespace, target.name, "log")
    sys.stdout.buffer.write(session.api.stream(path, query={"container": pods.default_container(pod)}).read())
    sys.stdout.flush()


def refuse_ended(pod: Object) -> None:
    """Raises: Failure."""
    phase = dig(pod, "status", "phase")
    if phase in ("Succeeded", "Failed"):
        raise Failure(f"error: cannot attach a container in a completed pod; current phase is {phase}")
