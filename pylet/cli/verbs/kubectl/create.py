"""`kubectl create`: from files, or one of the common kinds from flags. Source: cmd/create."""

from __future__ import annotations

from typing import Any

import click

from pylet.api.errors import ApiError
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags, making, manifests, writing
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, many, switch, text
from pylet.cli.kubectl.creating import access, configuration, network, policies, workloads
from pylet.cli.kubectl.creating.maker import Maker, Request
from pylet.cli.kubectl.documents import to_yaml
from pylet.cli.kubectl.errors import HANDLED, Collected, doing, misused
from pylet.cli.kubectl.session import Session, duration_seconds

_MANAGER = "kubectl-create"
_MAKERS = (*policies.MAKERS, *access.MAKERS, *configuration.MAKERS, *workloads.MAKERS, *network.MAKERS)
_ALIASES = {"service": ("svc",), "secret": ()}


def _from_files(session: Session, filename: tuple[str, ...], recursive: bool, **options: Any) -> None:
    if options["raw"]:
        if options["edit"]:
            raise Failure("error: --raw and --edit are mutually exclusive")
        print(manifests.raw(session, "POST", options["raw"], filename), end="")
        return
    validation = writing.validation_of(options["validate"])
    found = list(manifests.objects(filename, recursive=recursive, labels=options["selector"], validation=validation))
    if not found:
        raise Failure("error: no objects passed to create")
    failures = Collected()
    for source, obj in found:
        if isinstance(obj, Failure):
            failures.add(obj)
            continue
        try:
            wanted = _edited(obj) if options["edit"] else obj
            if wanted is not None:
                with doing("creating", source):
                    making.make(session, wanted, options, manager=_MANAGER, source=source)
        except (Failure, *HANDLED) as error:
            failures.add(error)
    failures.finish()


def _edited(obj: Object) -> Object | None:
    """The object as the person leaves it, None when that is as it was. Raises: Failure."""
    from pylet.cli.kubectl import editing

    text_ = to_yaml(obj)
    wanted = editing.launched(editing.HEADER + text_)
    if wanted == text_ or not wanted.strip():
        editing.cancelled(wanted)
        return None
    (made,) = manifests.documents("edited-file", wanted.encode())
    return made


def _split(session: Session, args: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The name, and what stands behind `--`. Raises: Failure."""
    dash = session.words_before_dash
    names, command = (args[:dash], args[dash:]) if dash >= 0 else (args, ())
    if len(names) == 1:
        return names[0], command
    raise misused(session.command, f"exactly one NAME is required, got {len(names)}")


def _command(maker: Maker, name: str) -> KubectlCommand:
    def run(session: Session, args: tuple[str, ...], **options: Any) -> None:
        named, command = _split(session, args)
        request = Request(named, command, options, session.namespace, session.catalog)
        is_copy = options.get("from") and not options["image"]
        obj = _job_of(session, request) if is_copy else maker.build(request)
        try:
            making.make(session, obj, options, manager=_MANAGER)
        except ApiError as error:
            if not maker.failing:
                raise
            raise Failure(f"error: {maker.failing} {error}") from None

    return KubectlCommand(name, run, [*maker.flags, *_common()], help=f"Create a {maker.names[0]}.")


def _job_of(session: Session, request: Request) -> Object:
    """A Job as a CronJob would start it now. Raises: Failure."""
    type_, _, name = str(request.options["from"]).partition("/")
    resource = session.catalog.find(type_)
    if resource.kind != "CronJob":
        raise Failure(f"error: from must be an existing cronjob, got {resource.kind}")
    cron_job = session.api.request("GET", resource.path(session.namespace, name))
    template = cron_job["spec"]["jobTemplate"]
    meta = {field: (template.get("metadata") or {}).get(field) for field in ("annotations", "labels")}
    annotations = {"cronjob.kubernetes.io/instantiate": "manual", **(meta["annotations"] or {})}
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cron_job["metadata"]["uid"]}
    job_meta: Object = {"name": request.name, "annotations": annotations, "ownerReferences": [owner]}
    if meta["labels"]:
        job_meta["labels"] = meta["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": job_meta, "spec": template["spec"], "status": {}}


def _token(session: Session, args: tuple[str, ...], duration: str, audience: tuple[str, ...], **_: Any) -> None:
    spec: Object = {"audiences": list(audience)} if audience else {}
    if seconds := int(duration_seconds(duration, "--duration")):
        spec["expirationSeconds"] = seconds
    path = session.catalog.find("serviceaccounts").path(session.namespace, _split(session, args)[0], "token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    print(session.api.request("POST", path, body=body)["status"]["token"])


def _common() -> list[click.Parameter]:
    return [
        *flags.WRITING,
        flags.SAVE_CONFIG,
        flags.VALIDATE,
        arguments(),
    ]


class _Create(KubectlGroup):
    """A group that is a command itself when no kind is given."""

    def __init__(self) -> None:
        super().__init__("create", package="", help="Create objects from files or flags.")
        groups = {name: KubectlGroup(name, package="", help=f"Create a {name}.") for name in _ALIASES}
        for name, group in groups.items():
            for alias in (name, *_ALIASES[name]):
                self.add_command(group, alias)
        for maker in _MAKERS:
            for name in maker.names:
                parent, _, below = name.rpartition(" ")
                (groups[parent] if parent else self).add_command(_command(maker, below))
        lasting = [text("duration", default="0s", help="How long it is valid."), many("audience", help="For whom.")]
        self.add_command(KubectlCommand("token", _token, [*lasting, *_common()], help="Request a token."))
        self._files = KubectlCommand(
            "create",
            _from_files,
            [
                *flags.FILES,
                flags.SELECTOR,
                switch("edit", help="Edit the objects before they are made."),
                text("raw", help="A path to post a file to as it is."),
                *(parameter for parameter in _common() if not isinstance(parameter, click.Argument)),
            ],
        )

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if not args or any(arg.startswith(("-f", "--filename")) for arg in args):
            return self._files.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


VERB = _Create()
