"""Attaching to a pod's container: what `attach` and `run -i` share."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from pylet.api.containers import planned
from pylet.api.object import Object, dig
from pylet.api.podtemplate import is_finished
from pylet.cli.failure import Failure
from pylet.cli.kubectl import pods, remote, watching
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
    for found in _states(session, pod, timeout_seconds):
        started = [dig(status, "state", "running") for status in dig(found, "status", "containerStatuses", default=())]
        if is_finished(found) or (dig(found, "status", "phase") == "Running" and all(started)):
            return found
    raise Failure("error: timed out waiting for the condition")


def wait_ended(session: Session, pod: Object, timeout_seconds: float) -> Object:
    """The pod when it has ended, or as it is when the time is up. Raises: Failure, when it is gone."""
    found = pod
    for found in _states(session, pod, timeout_seconds):
        if is_finished(found):
            break
    return found


def _states(session: Session, pod: Object, timeout_seconds: float) -> Iterator[Object]:
    target = target_of(session, pod)
    for found in watching.states(session.api, target, time.monotonic() + timeout_seconds):
        if found is None:
            raise Failure(f'Error from server (NotFound): pods "{target.name}" not found')
        yield found


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
    if is_finished(pod):
        phase = pod["status"]["phase"]
        raise Failure(f"error: cannot attach a container in a completed pod; current phase is {phase}")
