"""`kubectl cp`: files between here and a container, through `tar` in it. Source: cmd/cp/cp.go."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pylet.cli.failure import Failure
from pylet.cli.kubectl import pods, remote
from pylet.cli.kubectl.command import KubectlCommand, arguments, number, switch, text
from pylet.cli.kubectl.session import Session


@dataclass(frozen=True, slots=True)
class Place:
    """`pod` "" is this machine."""

    pod: str
    namespace: str
    path: str


def place(word: str) -> Place:
    """`[[NAMESPACE/]POD:]PATH`. Raises: Failure."""
    pod, colon, path = word.partition(":")
    if not colon:
        return Place("", "", word)
    if not pod or pod.startswith((".", "/")):
        return Place("", "", word)
    parts = pod.split("/")
    if len(parts) > 2 or not path:
        raise Failure("error: filespec must match the canonical format: [[namespace/]pod:]file/path")
    return Place(parts[-1], parts[0] if len(parts) == 2 else "", path)


def _run(session: Session, args: tuple[str, ...], container: str, no_preserve: bool, retries: int) -> None:
    if len(args) != 2:
        raise Failure("error: source and destination are required")
    source, goal = map(place, args)
    if bool(source.pod) == bool(goal.pod):
        told = "must be a local file specification" if source.pod else "must be a remote file specification"
        raise Failure(f"error: one of src or dest {told}")
    if source.pod:
        _download(session, source, Path(goal.path), container)
    else:
        _upload(session, Path(source.path), goal, container, no_preserve=no_preserve)


def _target(session: Session, there: Place, container: str, command: list[str], *, stdin: bool) -> str:
    namespace = there.namespace or session.namespace
    pod_path = session.catalog.find("pods").path(namespace, there.pod)
    pod = session.api.request("GET", pod_path)
    pods.refuse_unknown(pod, container)
    query = {
        "container": container or pods.default_container(pod, quiet=False),
        "command": command,
        "stdin": "true" if stdin else "",
        "stdout": "true",
        "stderr": "true",
    }
    return session.api.target(f"{pod_path}/exec", query)


def _upload(session: Session, source: Path, there: Place, container: str, *, no_preserve: bool) -> None:
    if not source.exists():
        raise Failure(f"error: {source} doesn't exist in local filesystem")
    folder, name = str(PurePosixPath(there.path).parent), PurePosixPath(there.path).name
    if there.path.endswith("/") or _is_folder(session, there, container):
        folder, name = there.path, source.name
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.add(source, arcname=name)
    flags = ["--no-same-permissions", "--no-same-owner"] if no_preserve else []
    target = _target(session, there, container, ["tar", *flags, "-xmf", "-", "-C", folder], stdin=True)
    remote.exchange(session.api, target, data.getvalue())


def _is_folder(session: Session, there: Place, container: str) -> bool:
    try:
        remote.exchange(session.api, _target(session, there, container, ["test", "-d", there.path], stdin=False), None)
    except Failure:
        return False
    return True


def _download(session: Session, there: Place, goal: Path, container: str) -> None:
    target = _target(session, there, container, ["tar", "cf", "-", there.path], stdin=False)
    data = remote.exchange(session.api, target, None)
    root = PurePosixPath(there.path.lstrip("/"))
    goal = goal / root.name if goal.is_dir() else goal
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if not path.is_relative_to(root) or ".." in path.parts:
                raise Failure(f"error: tar contents corrupted: {member.name} is outside of {root}")
            below = goal / path.relative_to(root)
            if member.isdir():
                below.mkdir(parents=True, exist_ok=True)
            elif member.isfile() and (file := archive.extractfile(member)):
                below.parent.mkdir(parents=True, exist_ok=True)
                below.write_bytes(file.read())
                below.chmod(member.mode)
            else:
                print(f"warning: skipping {member.name}: neither a file nor a folder")


VERB = KubectlCommand(
    "cp",
    _run,
    [
        text("container", "c", help="Which container."),
        switch("no-preserve", help="Leave owners and permissions to the container."),
        number("retries", help="Accepted; nothing is tried again."),
        arguments(),
    ],
    help="Copy files: [[NAMESPACE/]POD:]PATH [[NAMESPACE/]POD:]PATH",
)
