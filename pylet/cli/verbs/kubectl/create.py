"""`kubectl create`: from files, or one of the common kinds from flags. Source: cmd/create."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pylet.api.errors import ApiError
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import making, manifests
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, many, number, switch, text
from pylet.cli.kubectl.errors import HANDLED, Collected
from pylet.cli.kubectl.making import make
from pylet.cli.kubectl.session import Session

_MANAGER = "kubectl-create"


def _from_files(session: Session, filename: tuple[str, ...], recursive: bool, **options: Any) -> None:
    found = list(manifests.objects(filename, recursive=recursive))
    if not found:
        raise Failure("error: no objects passed to create")
    failures = Collected()
    for source, obj in found:
        try:
            make(session, obj, options, manager=_MANAGER, source=source)
        except HANDLED as error:
            invalid = getattr(error, "reason", "") == "Invalid"
            failures.add(error, context="" if invalid else f'error when creating "{source}"')
        except Failure as failure:
            failures.add(failure)
    failures.finish()


def _name(session: Session, args: Sequence[str]) -> str:
    if len(args) == 1:
        return args[0]
    told = f"exactly one NAME is required, got {len(args)}"
    raise Failure(f"error: {told}\nSee '{session.command} -h' for help and examples")


def _meta(name: str, **more: Any) -> Object:
    return {"metadata": {"creationTimestamp": None, "name": name, **more}}


def _namespace(session: Session, args: Sequence[str], options: dict[str, Any]) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", **_meta(_name(session, args)), "spec": {}, "status": {}}


def _serviceaccount(session: Session, args: Sequence[str], options: dict[str, Any]) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", **_meta(_name(session, args))}


def _literals(options: dict[str, Any]) -> dict[str, bytes]:
    """The data of --from-literal, --from-file and --from-env-file. Raises: Failure."""
    data: dict[str, bytes] = {}

    def put(key: str, value: bytes) -> None:
        if key in data:
            raise Failure(f'error: cannot add key "{key}", another key by that name already exists')
        data[key] = value

    for literal in options["from_literal"]:
        key, equals, value = literal.partition("=")
        if not equals or not key:
            raise Failure(f"error: invalid literal source {literal}, expected key=value")
        put(key, value.strip("'\"").encode() if value[:1] == value[-1:] and value[:1] in "'\"" else value.encode())
    for source in options["from_file"]:
        key, equals, path = source.partition("=")
        for name, file in _sources(Path(path if equals else key), key if equals else ""):
            put(name, file.read_bytes())
    for path in options["from_env_file"]:
        for line in _read(Path(path)).decode().splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                key, _, value = line.lstrip().partition("=")
                put(key, value.encode())
    return data


def _sources(path: Path, key: str) -> list[tuple[str, Path]]:
    _read(path)
    if not path.is_dir():
        return [(key or path.name, path)]
    if key:
        raise Failure("error: cannot give a key name for a directory path")
    return [(file.name, file) for file in sorted(path.iterdir()) if file.is_file()]


def _read(path: Path) -> bytes:
    try:
        return b"" if path.is_dir() else path.read_bytes()
    except OSError as error:
        raise Failure(f"error: error reading {path}: {str(error.strerror).lower()}") from None


def _configmap(session: Session, args: Sequence[str], options: dict[str, Any]) -> Object:
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", **_meta(_name(session, args))}
    for key, value in _literals(options).items():
        try:
            obj.setdefault("data", {})[key] = value.decode()
        except UnicodeDecodeError:
            obj.setdefault("binaryData", {})[key] = base64.b64encode(value).decode()
    return obj


def _secret(type_: str) -> Callable[[Session, Sequence[str], dict[str, Any]], Object]:
    def build(session: Session, args: Sequence[str], options: dict[str, Any]) -> Object:
        obj: Object = {"apiVersion": "v1", "kind": "Secret", **_meta(_name(session, args))}
        if type_ == "kubernetes.io/tls":
            data = {"tls.crt": _read(Path(options["cert"])), "tls.key": _read(Path(options["key"]))}
        else:
            data = _literals(options)
        kind = type_ or options["type"]
        if kind:
            obj["type"] = kind
        if data:
            obj["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
        return obj

    return build


def _deployment(session: Session, args: Sequence[str], options: dict[str, Any]) -> Object:
    before = session.words_before_dash
    command = list(args[before:]) if before >= 0 else []
    name = _name(session, args[:before] if before >= 0 else args)
    images: Sequence[str] = options["image"]
    if not images:
        raise Failure('error: required flag(s) "image" not set')
    if len(images) > 1 and command:
        raise Failure("error: cannot specify multiple --image options and command")
    containers: list[Object] = []
    for image in images:
        container: Object = {"image": image, "name": _container_name(image), "resources": {}}
        if command:
            container["command"] = command
        if options["port"] >= 0:
            container["ports"] = [{"containerPort": options["port"]}]
        containers.append(container)
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        **_meta(name, labels=labels),
        "spec": {
            "replicas": options["replicas"],
            "selector": {"matchLabels": labels},
            "strategy": {},
            "template": {
                "metadata": {"creationTimestamp": None, "labels": labels},
                "spec": {"containers": containers},
            },
        },
        "status": {},
    }


def _container_name(image: str) -> str:
    name = image.rsplit("/", 1)[-1].split(":")[0].split("@")[0]
    return "".join(character if character.isalnum() or character == "-" else "-" for character in name.lower())


def _service(type_: str) -> Callable[[Session, Sequence[str], dict[str, Any]], Object]:
    def build(session: Session, args: Sequence[str], options: dict[str, Any]) -> Object:
        name = _name(session, args)
        ports = [_port(pair, options["node_port"]) for value in options["tcp"] for pair in value.split(",")]
        if not ports:
            raise Failure("error: at least one tcp port specifier must be provided")
        labels = {"app": name}
        spec: Object = {"ports": ports, "selector": labels, "type": type_}
        status: Object = {"loadBalancer": {}}
        return {"apiVersion": "v1", "kind": "Service", **_meta(name, labels=labels), "spec": spec, "status": status}

    return build


def _port(pair: str, node_port: int) -> Object:
    port, _, target = pair.partition(":")
    try:
        number_ = int(port)
        goal: int | str = int(target or port) if (target or port).isdigit() else target
    except ValueError:
        raise Failure(f"error: invalid port {pair}") from None
    made: Object = {"name": pair.replace(":", "-"), "port": number_, "protocol": "TCP", "targetPort": goal}
    return {**made, "nodePort": node_port} if node_port else made


def _token(session: Session, args: tuple[str, ...], duration: str, audience: tuple[str, ...], **_: Any) -> None:
    from pylet.cli.kubectl.session import duration_seconds

    spec: Object = {"audiences": list(audience)} if audience else {}
    if seconds := int(duration_seconds(duration, "--duration")):
        spec["expirationSeconds"] = seconds
    path = session.catalog.find("serviceaccounts").path(session.namespace, _name(session, args), "token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    print(session.api.request("POST", path, body=body)["status"]["token"])


def _common() -> list[click.Parameter]:
    return [
        *making.flags(),
        text("validate", default="strict", bare="strict", help="strict, warn or ignore."),
        arguments(),
    ]


_DATA = (
    ("from-literal", "KEY=VALUE"),
    ("from-file", "[KEY=]FILE"),
    ("from-env-file", "A file of KEY=VALUE lines"),
)


def _kind(
    name: str,
    build: Callable[[Session, Sequence[str], dict[str, Any]], Object],
    *flags: click.Parameter,
    failing: str = "",
) -> KubectlCommand:
    """`failing` is how kubectl begins the line for a refusal, "" when it adds nothing."""

    def run(session: Session, args: tuple[str, ...], **options: Any) -> None:
        obj = build(session, args, options)
        try:
            make(session, obj, options, manager=_MANAGER)
        except ApiError as error:
            if not failing:
                raise
            raise Failure(f"error: {failing} {error}") from None

    return KubectlCommand(name.split()[-1], run, [*flags, *_common()], help=f"Create a {name}.")


def _data() -> list[click.Parameter]:
    return [many(name, help=help_) for name, help_ in _DATA]


class _Create(KubectlGroup):
    """A group that is a command itself when -f is given."""

    def __init__(self) -> None:
        super().__init__("create", package="", help="Create objects from files or flags.")
        failing = "failed to create secret"
        secret = KubectlGroup("secret", package="", help="Create a secret.")
        secret.add_command(
            _kind("secret generic", _secret(""), text("type", help="Its type."), *_data(), failing=failing)
        )
        tls = [text("cert", help="File of the certificate."), text("key", help="File of the key.")]
        secret.add_command(_kind("secret tls", _secret("kubernetes.io/tls"), *tls, failing=failing))
        service = KubectlGroup("service", package="", help="Create a service.")
        for name, type_ in (("clusterip", "ClusterIP"), ("nodeport", "NodePort"), ("loadbalancer", "LoadBalancer")):
            ports = [many("tcp", help="PORT[:TARGET]"), number("node-port", help="Port of the nodes.")]
            service.add_command(
                _kind(f"service {name}", _service(type_), *ports, failing=f"failed to create {type_} service:")
            )
        deployment = [
            many("image", help="Image to run."),
            number("replicas", "r", default=1, help="How many pods."),
            number("port", default=-1, help="Port of the container."),
        ]
        plain = "failed to create {}:".format
        for name in ("namespace", "ns"):
            self.add_command(_kind(name, _namespace))
        for name in ("configmap", "cm"):
            self.add_command(_kind(name, _configmap, *_data(), failing=plain("configmap")))
        for name in ("deployment", "deploy"):
            self.add_command(_kind(name, _deployment, *deployment, failing=plain("deployment")))
        for name in ("serviceaccount", "sa"):
            self.add_command(_kind(name, _serviceaccount, failing=plain("serviceaccount")))
        self.add_command(secret)
        self.add_command(service)
        lasting = [text("duration", default="0s", help="How long it is valid."), many("audience", help="For whom.")]
        self.add_command(KubectlCommand("token", _token, [*lasting, *_common()], help="Request a token."))
        self._files = KubectlCommand(
            "create",
            _from_files,
            [
                many("filename", "f", help="Files, folders or - with the objects."),
                switch("recursive", "R", help="Folders with what is below them."),
                *(parameter for parameter in _common() if not isinstance(parameter, click.Argument)),
            ],
        )

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if any(arg.startswith(("-f", "--filename")) for arg in args):
            return self._files.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


VERB = _Create()
