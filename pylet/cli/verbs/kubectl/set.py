"""`kubectl set`: image, env, resources and serviceaccount of pod templates. Source: cmd/set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import making, output, pairs, writing
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, many, text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

Change = Callable[[Object], Object]
"""Of a pod spec, its strategic merge patch; {} where nothing changes."""


def _command(
    name: str,
    change_of: Callable[[Sequence[str], dict[str, Any]], tuple[list[str], Change]],
    operation: str,
    help_: str,
    *flags: click.Parameter,
) -> KubectlCommand:
    def run(session: Session, args: tuple[str, ...], **options: Any) -> None:
        words, change = change_of(args, options)
        failures = Collected()
        for target in writing.choose(session, words, options):
            failures.attempt(partial(_change, session, target, change, operation, options))
        failures.finish()

    params = [*flags, *writing.choosing(), *writing.writing(), arguments()]
    return KubectlCommand(name, run, params, help=help_)


def _change(session: Session, target: Target, change: Change, operation: str, options: dict[str, Any]) -> None:
    pod_spec, path = _pod_spec(target)
    patch = change(pod_spec)
    if not patch:
        return
    for field in reversed(path):
        patch = {field: patch}
    dry_run = writing.dry_run(options)
    obj = making.patched(target.obj, patch)
    if dry_run != "client":
        manager = writing.manager_of(options, "kubectl-set")
        obj = writing.patch(session, target, patch, type_=writing.STRATEGIC, manager=manager, dry_run=dry_run)
    output.done(obj, operation, options["output"], dry_run=dry_run)


def _pod_spec(target: Target) -> tuple[Object, tuple[str, ...]]:
    """The pod spec in an object, and where it is. Raises: Failure."""
    spec = target.obj.get("spec") or {}
    if target.resource.kind == "Pod":
        return spec, ("spec",)
    if target.resource.kind == "CronJob":
        return spec["jobTemplate"]["spec"]["template"]["spec"], ("spec", "jobTemplate", "spec", "template", "spec")
    if "template" not in spec:
        shown = f"{target.resource.plural}/{target.name}"
        raise Failure(f"error: {shown} the object is not a pod or does not have a pod template: {target.resource.kind}")
    return spec["template"]["spec"], ("spec", "template", "spec")


def _image(args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    words, images, _ = pairs.split(args, "image")
    if not images:
        raise Failure("error: at least one image update is required")
    if len(images) > 1 and "*" in images:
        told = "all containers are already specified by *, but saw more than one container_name=container_image pairs"
        raise Failure(f"error: {told}")

    def change(spec: Object) -> Object:
        patch: Object = {}
        missing = set(images)
        for field in ("initContainers", "containers"):
            for container in spec.get(field) or ():
                wanted = container["name"] if container["name"] in images else "*"
                if wanted not in images:
                    continue
                missing.discard(wanted)
                if container.get("image") != images[wanted]:
                    entry = {"name": container["name"], "image": images[wanted]}
                    patch.setdefault(field, []).append(entry)
        if missing:
            raise Failure("\n".join(f'error: unable to find container named "{name}"' for name in sorted(missing)))
        return patch

    return words, change


def _env(args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    words, put, gone = pairs.split([*args, *options["env"]], "environment", removing=True)
    if not put and not gone:
        raise Failure("error: at least one environment variable must be provided")

    def change(spec: Object) -> Object:
        entries = []
        for container in spec["containers"]:
            if options["containers"] not in ("*", container["name"]):
                continue
            now = {variable["name"]: variable for variable in container.get("env") or ()}
            env: list[Object] = [
                {"name": name, "value": value, **({"valueFrom": None} if "valueFrom" in now.get(name, {}) else {})}
                for name, value in put.items()
                if now.get(name) != {"name": name, "value": value}
            ]
            env += [{"name": name, "$patch": "delete"} for name in gone if name in now]
            if env:
                entries.append({"name": container["name"], "env": env})
        return {"containers": entries} if entries else {}

    return words, change


def _resources(args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    wanted = {field: making.labels_of(options[field], "resource") for field in ("limits", "requests") if options[field]}
    if not wanted:
        raise Failure("error: you must specify an update to requests or limits (in the form of --requests/--limits)")

    def change(spec: Object) -> Object:
        entries = [
            {"name": container["name"], "resources": wanted}
            for container in spec["containers"]
            if options["containers"] in ("*", container["name"])
        ]
        return {"containers": entries} if entries else {}

    return list(args), change


def _service_account(args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    if not args:
        raise Failure("error: serviceaccount is required")
    *words, account = args

    def change(spec: Object) -> Object:
        return {"serviceAccountName": account} if spec.get("serviceAccountName") != account else {}

    return words, change


VERB = KubectlGroup("set", help="Change one thing of pod templates.")
_CONTAINERS = text("containers", "c", default="*", help="Only this container.")
for _each in (
    _command("image", _image, "image updated", "Change images: CONTAINER=IMAGE, * for all containers."),
    _command(
        "env",
        _env,
        "env updated",
        "Change variables: NAME=VALUE sets, NAME- removes.",
        many("env", "e", help="NAME=VALUE or NAME-"),
        _CONTAINERS,
    ),
    _command(
        "resources",
        _resources,
        "resource requirements updated",
        "Change what containers ask for.",
        text("limits", help="cpu=…,memory=…"),
        text("requests", help="cpu=…,memory=…"),
        _CONTAINERS,
    ),
    _command("serviceaccount", _service_account, "serviceaccount updated", "Change who pods run as."),
):
    VERB.add_command(_each)
