"""`kubectl set`: image, env, resources and serviceaccount of pod templates, selectors, subjects. Source: cmd/set."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, making, output, pairs, targets, writing
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, many, text
from pylet.cli.kubectl.creating.maker import words as words_of
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_KEY_REFS = {"ConfigMap": "configMapKeyRef", "Secret": "secretKeyRef"}
Change = Callable[[Object], Object]
"""Of a pod spec, or of an object, its strategic merge patch; {} where nothing changes."""
ChangeOf = Callable[[Session, Sequence[str], dict[str, Any]], tuple[list[str], Change]]
"""Which words of the command line name objects, and what the others want of them."""


def _command(
    name: str,
    change_of: ChangeOf,
    operation: str,
    help_: str,
    *own: click.Parameter,
) -> KubectlCommand:
    def run(session: Session, args: tuple[str, ...], **options: Any) -> None:
        words, change = change_of(session, args, options)
        failures = Collected(prefixed=True)
        found = list(writing.choose(session, words, options, failures))
        failures.finish()
        for target in found:
            failures.attempt(_change, session, target, change, operation, options)
        failures.finish()

    params = [*own, *flags.CHOOSING, *flags.WRITING, flags.LOCAL, flags.RECORD, arguments()]
    return KubectlCommand(name, run, params, help=help_)


def _change(session: Session, target: Target, change: Change, operation: str, options: dict[str, Any]) -> None:
    patch = change(target.obj)
    if not patch:
        return
    if annotation := writing.cause(session, options):
        patch = {**patch, "metadata": {**patch.get("metadata", {}), "annotations": annotation}}
    dry_run = writing.dry_run(options)
    obj = making.patched(target.obj, patch)
    if dry_run not in ("client", "local"):
        manager = writing.manager_of(options, "kubectl-set")
        obj = writing.patch(session, target, patch, type_=writing.STRATEGIC, manager=manager, dry_run=dry_run)
    output.done(obj, operation, options["output"], dry_run=dry_run)


def _of_pods(change_of: ChangeOf) -> ChangeOf:
    """A change of pod specs as one of the objects that hold them."""

    def of_objects(session: Session, args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
        words, change = change_of(session, args, options)

        def change_object(obj: Object) -> Object:
            pod_spec, path = _pod_spec(obj)
            patch = change(pod_spec)
            for field in reversed(path if patch else ()):
                patch = {field: patch}
            return patch

        return words, change_object

    return of_objects


def _pod_spec(obj: Object) -> tuple[Object, tuple[str, ...]]:
    """The pod spec in an object, and where it is. Raises: Failure."""
    spec = obj.get("spec") or {}
    if obj["kind"] == "Pod":
        return spec, ("spec",)
    if obj["kind"] == "CronJob":
        return spec["jobTemplate"]["spec"]["template"]["spec"], ("spec", "jobTemplate", "spec", "template", "spec")
    if "template" not in spec:
        shown = output.label_of(obj)
        raise Failure(f"error: {shown} the object is not a pod or does not have a pod template: {obj['kind']}")
    return spec["template"]["spec"], ("spec", "template", "spec")


def _image(_session: Session, args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
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


def _env(session: Session, args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    given = [*args, *options["env"]]
    if "-" in given:
        if "-" in options["filename"]:
            raise Failure("error: standard input cannot be used for multiple arguments")
        lines = (line.strip() for line in sys.stdin)
        given = [*(word for word in given if word != "-"), *(line for line in lines if line and line[0] != "#")]
    words, put, gone = pairs.split(given, "environment", removing=True)
    wanted: dict[str, Object] = {name: {"name": name, "value": value} for name, value in put.items()}
    wanted |= _env_of(session, options)
    if not wanted and not gone:
        raise Failure("error: at least one environment variable must be provided")

    def change(spec: Object) -> Object:
        entries = []
        for container in spec["containers"]:
            if options["containers"] not in ("*", container["name"]):
                continue
            now = {variable["name"]: variable for variable in container.get("env") or ()}
            env: list[Object] = [
                {**dict.fromkeys(now.get(name) or ()), **variable}
                for name, variable in wanted.items()
                if now.get(name) != variable
            ]
            env += [{"name": name, "$patch": "delete"} for name in gone if name in now]
            if env:
                entries.append({"name": container["name"], "env": env})
        return {"containers": entries} if entries else {}

    return words, change


def _env_of(session: Session, options: dict[str, Any]) -> dict[str, Object]:
    """The variables out of what --from names. Raises: Failure, ApiError."""
    keys = words_of(options["keys"])
    if not options["from"]:
        if keys:
            raise Failure("error: when specifying --keys, a configmap or secret must be provided with --from")
        return {}
    (source,) = targets.fetch(session, targets.parse([options["from"]], session.catalog))
    if source.resource.kind not in _KEY_REFS:
        raise Failure("error: unsupported resource specified in --from")
    found = {}
    for key in sorted(source.obj.get("data") or ()):
        if not keys or key in keys:
            name = options["prefix"] + re.sub("[^a-zA-Z0-9_]+", "_", key).upper()
            found[name] = {
                "name": name,
                "valueFrom": {_KEY_REFS[source.resource.kind]: {"name": source.name, "key": key}},
            }
    return found


def _resources(_: Session, args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    wanted = {field: making.labels_of(options[field], "resource") for field in ("limits", "requests") if options[field]}
    if not wanted:
        raise Failure("error: you must specify an update to requests or limits (in the form of --requests/--limits)")

    def change(spec: Object) -> Object:
        entries = [
            {"name": container["name"], "resources": wanted}
            for container in spec["containers"]
            if options["containers"] in ("*", container["name"])
        ]
        if not entries:
            raise Failure(f"error: unable to find container named {options['containers']}")
        return {"containers": entries}

    return list(args), change


def _service_account(_: Session, args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    if not args:
        raise Failure("error: serviceaccount is required")
    *words, account = args

    def change(spec: Object) -> Object:
        return {"serviceAccountName": account} if spec.get("serviceAccountName") != account else {}

    return words, change


def _selector(_: Session, args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    if not args:
        raise Failure("error: one selector is required")
    *words, text_ = args
    wanted = making.labels_of(text_, "selector")

    def change(obj: Object) -> Object:
        if obj["kind"] != "Service":
            raise Failure("error: setting a selector is only supported for Services")
        selector = {**dict.fromkeys((obj.get("spec") or {}).get("selector") or ()), **wanted}
        version = {"metadata": {"resourceVersion": options["resource_version"]}} if options["resource_version"] else {}
        return {**version, "spec": {"selector": selector}}

    return words, change


def _subject(session: Session, args: Sequence[str], options: dict[str, Any]) -> tuple[list[str], Change]:
    if not (options["user"] or options["group"] or options["serviceaccount"]):
        raise Failure("error: you must specify at least one value of user, group or serviceaccount")
    subjects: list[Object] = []
    for kind in ("User", "Group"):
        names = sorted(set(options[kind.lower()]))
        subjects += [{"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name} for name in names]
    for account in sorted(set(options["serviceaccount"])):
        namespace, _, name = account.partition(":")
        if not name or ":" in name:
            raise Failure("error: serviceaccount must be <namespace>:<name>")
        subjects.append({"kind": "ServiceAccount", "name": name, "namespace": namespace or session.namespace})

    def change(obj: Object) -> Object:
        if obj["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            raise Failure("error: setting subjects is only supported for RoleBinding/ClusterRoleBinding")
        now = obj.get("subjects") or []
        added = [subject for subject in subjects if subject not in now]
        return {"subjects": [*now, *added]} if added else {}

    return list(args), change


VERB = KubectlGroup("set", help="Change one thing of objects.")
_CONTAINERS = text("containers", "c", default="*", help="Only this container.")
for _each in (
    _command("image", _of_pods(_image), "image updated", "Change images: CONTAINER=IMAGE, * for all containers."),
    _command(
        "env",
        _of_pods(_env),
        "env updated",
        "Change variables: NAME=VALUE sets, NAME- removes.",
        many("env", "e", help="NAME=VALUE or NAME-"),
        text("from", help="configmap/NAME or secret/NAME to take variables from."),
        many("keys", help="Only these keys of it."),
        text("prefix", help="What the names of its variables begin with."),
        _CONTAINERS,
    ),
    _command(
        "resources",
        _of_pods(_resources),
        "resource requirements updated",
        "Change what containers ask for.",
        text("limits", help="cpu=…,memory=…"),
        text("requests", help="cpu=…,memory=…"),
        _CONTAINERS,
    ),
    _command("serviceaccount", _of_pods(_service_account), "serviceaccount updated", "Change who pods run as."),
    _command(
        "selector",
        _selector,
        "selector updated",
        "Change what a Service selects: KEY=VALUE,…",
        flags.RESOURCE_VERSION,
    ),
    _command(
        "subject",
        _subject,
        "subjects updated",
        "Add subjects to bindings of roles.",
        many("user", help="User to add."),
        many("group", help="Group to add."),
        many("serviceaccount", help="NAMESPACE:NAME of an account to add."),
    ),
):
    VERB.add_command(_each)
