"""`kubectl run`: one pod out of an image, its terminal attached when asked for. Source: cmd/run/run.go."""

from __future__ import annotations

import json
import re
from typing import Any

from pylet.api.object import Object, dig
from pylet.api.podtemplate import is_finished
from pylet.cli.failure import Failure
from pylet.cli.kubectl import attaching, deleting, flags, making, pairs, services
from pylet.cli.kubectl.command import KubectlCommand, arguments, many, switch, text
from pylet.cli.kubectl.errors import misused
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.targets import Target

_REFERENCE = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@[\w:+.-]+)?"
)
_POLICIES = ("Always", "OnFailure", "Never")


def _pod(name: str, command: tuple[str, ...], options: dict[str, Any]) -> Object:
    container: Object = {"image": options["image"], "name": name, "resources": {}}
    if command:
        container["command" if options["command"] else "args"] = list(command)
    if env := pairs.split(options["env"], "env")[1]:
        container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    if options["image_pull_policy"]:
        container["imagePullPolicy"] = options["image_pull_policy"]
    if options["port"]:
        container["ports"] = [{"containerPort": int(options["port"])}]
    if options["stdin"]:
        container["stdin"] = True
        container["stdinOnce"] = not options["leave_stdin_open"]
    if options["tty"]:
        container["tty"] = True
    if options["privileged"]:
        container["securityContext"] = {"privileged": True}
    meta: Object = {"name": name, "labels": making.labels_of(options["labels"]) or {"run": name}}
    if annotations := pairs.split(options["annotations"], "annotations")[1]:
        meta["annotations"] = annotations
    spec = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": options["restart"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {}}
    return making.overridden(pod, options["overrides"], options["override_type"])


def _check(session: Session, args: tuple[str, ...], options: dict[str, Any]) -> None:
    """Raises: Failure."""
    if not options["image"]:
        raise Failure('error: required flag(s) "image" not set')
    if not args or session.words_before_dash == 0:
        raise misused(session.command, "NAME is required for run")
    if not _REFERENCE.fullmatch(options["image"]):
        raise Failure(f"error: Invalid image name {json.dumps(options['image'])}: invalid reference format")
    if options["tty"] and not options["stdin"]:
        raise misused(session.command, "-i/--stdin is required for containers with -t/--tty=true")
    if options["expose"] and not options["port"]:
        raise misused(session.command, "--port must be set when exposing a service")
    if options["restart"] not in _POLICIES:
        raise misused(session.command, f"invalid restart policy: {options['restart']}")
    if options["rm"] and not options["attach"]:
        raise misused(session.command, "--rm should only be used for attached containers")
    if options["attach"] and options["dry_run"] not in ("none", "false"):
        told = "can't be used with attached containers options (--attach, --stdin, or --tty)"
        raise misused(session.command, f"--dry-run=[server|client] {told}")
    if options["image_pull_policy"] not in ("", "Always", "IfNotPresent", "Never"):
        raise misused(session.command, f"invalid image pull policy: {options['image_pull_policy']}")


def _run(session: Session, args: tuple[str, ...], **options: Any) -> None:
    options["attach"] = options["stdin"] if options["attach"] is None else options["attach"] == "true"
    _check(session, args, options)
    attached = options["attach"]
    pod = making.make(session, _pod(args[0], args[1:], options), options, manager="kubectl-run", quiet=True)
    made = [pod]
    if options["expose"]:
        labels = pod["metadata"]["labels"]
        port = {"port": int(options["port"]), "protocol": "TCP", "targetPort": int(options["port"])}
        service = services.service(args[0], {}, labels, [port])
        made.append(making.make(session, service, options, manager="kubectl-run", quiet=attached))
    if not attached:
        making.tell(pod, options)
        return
    try:
        _attach(session, pod, options)
    finally:
        if options["rm"]:
            for obj in made:
                _remove(session, obj, quiet=options["quiet"])


def _attach(session: Session, pod: Object, options: dict[str, Any]) -> None:
    timeout = duration_seconds(options["pod_running_timeout"], "--pod-running-timeout")
    found = attaching.wait_running(session, pod, timeout)
    if is_finished(found):
        attaching.show_log(session, found)
    else:
        attaching.attach(session, found, stdin=options["stdin"], tty=options["tty"], quiet=options["quiet"])
    if options["restart"] == "Always" or options["leave_stdin_open"]:
        return
    _finish(attaching.wait_ended(session, found, timeout))


def _finish(pod: Object) -> None:
    """Ends with the container's exit status. Raises: Failure."""
    meta, phase = pod["metadata"], dig(pod, "status", "phase")
    if phase == "Succeeded":
        return
    name = f"pod {meta['namespace']}/{meta['name']}"
    if phase != "Failed":
        raise Failure(f"error: {name} left in phase {phase}")
    statuses = dig(pod, "status", "containerStatuses", default=[])
    ended = dig(statuses[0], "state", "terminated", default={}) if statuses else {}
    if not ended.get("exitCode"):
        raise Failure(f"error: {name} failed with unknown exit code")
    told = f"{name} terminated ({ended.get('reason', '')})\n{ended.get('message', '')}"
    raise Failure(told.rstrip("\n"), ended["exitCode"])


def _remove(session: Session, obj: Object, *, quiet: bool) -> None:
    resource = session.catalog.of_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    target = Target(resource, obj["metadata"]["namespace"], obj["metadata"]["name"], obj)
    deleting.delete(session, target, {"propagationPolicy": "Background"})
    if not quiet:
        print(f'{resource.label} "{target.name}" deleted{deleting.whence(target)}')


VERB = KubectlCommand(
    "run",
    _run,
    [
        text("image", help="Image to run."),
        text("port", help="Port of the container."),
        many("env", help="NAME=VALUE"),
        text("labels", "l", help="Labels of the pod."),
        many("annotations", help="KEY=VALUE"),
        text("restart", default="Always", help="Always, OnFailure or Never."),
        text("image-pull-policy", help="Always, IfNotPresent or Never."),
        switch("command", help="The words after -- are the command, not its arguments."),
        switch("stdin", "i", help="Give the container standard input."),
        switch("tty", "t", help="Give it a terminal."),
        text("attach", default=None, bare="true", help="Attach to it; by default with --stdin."),
        switch("rm", help="Delete the pod afterwards."),
        switch("leave-stdin-open", help="Standard input stays open after the first to attach."),
        switch("quiet", "q", help="Say nothing but what the container says."),
        switch("privileged", help="Run it privileged."),
        switch("expose", help="Make a Service for it, too."),
        text("pod-running-timeout", default="1m0s", help="How long to wait for the pod."),
        text("overrides", help="JSON to change the pod with."),
        text("override-type", default="merge", help="json, merge or strategic."),
        *flags.WRITING,
        flags.SAVE_CONFIG,
        arguments(),
    ],
    help="Run an image as a pod: NAME --image=IMAGE [-- WORD…]",
)
