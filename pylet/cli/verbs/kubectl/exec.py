"""`kubectl exec`. Source: cmd/exec/exec.go."""

from __future__ import annotations

import os
import sys

from pylet.api.podtemplate import is_finished
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, manifests, pods, remote
from pylet.cli.kubectl.command import KubectlCommand, arguments, switch, text
from pylet.cli.kubectl.errors import misused
from pylet.cli.kubectl.session import Session


def _run(
    session: Session,
    args: tuple[str, ...],
    container: str,
    stdin: bool,
    tty: bool,
    quiet: bool,
    filename: tuple[str, ...],
) -> None:
    dash = session.words_before_dash
    words, command = (args[:dash], args[dash:]) if dash >= 0 else (args, ())
    if filename:
        words = tuple(f"{target.resource.qualified}/{target.name}" for target in manifests.targets(session, filename))
        if len(words) > 1:
            raise Failure("error: cannot exec into multiple objects at a time")
    if len(words) > 1:
        told = "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead"
        raise misused(session.command, told)
    if not words:
        raise Failure("error: pod, type/name or --filename must be specified")
    if not command:
        raise Failure("error: you must specify at least one command for the container")
    _, _, found = pods.behind(session, words[0])
    if not found:
        raise Failure(f"error: {words[0]} has no pods")
    pod = found[0]
    if is_finished(pod):
        phase = pod["status"]["phase"]
        raise Failure(f"error: cannot exec into a container in a completed pod; current phase is {phase}")
    pods.refuse_unknown(pod, container)
    if tty and not os.isatty(0):
        tty = False
        print("Unable to use a TTY - input is not a terminal or the right kind of file", file=sys.stderr)
    query = {
        "command": list(command),
        "container": container or pods.default_container(pod, quiet=quiet),
        "stdin": "true" if stdin else "",
        "stdout": "true",
        "stderr": "" if tty else "true",
        "tty": "true" if tty else "",
    }
    path = session.catalog.find("pods").path(pod["metadata"]["namespace"], pod["metadata"]["name"], "exec")
    remote.run(session.api, session.api.target(path, query), stdin=stdin, tty=tty)


VERB = KubectlCommand(
    "exec",
    _run,
    [
        text("container", "c", help="Which container."),
        switch("stdin", "i", help="Pass standard input on."),
        switch("tty", "t", help="Standard input is a terminal."),
        flags.FILENAME,
        switch("quiet", "q", help="Print only what the command prints."),
        arguments(),
    ],
    help="Run a command in a container: POD -- COMMAND.",
)
