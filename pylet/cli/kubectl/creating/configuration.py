"""ConfigMaps and Secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import Flag, many, text
from pylet.cli.kubectl.creating import sources
from pylet.cli.kubectl.creating.maker import Maker, Request, obj

_DOCKER_CONFIG = ".dockerconfigjson"


def _configmap(request: Request) -> Object:
    made = obj("v1", "ConfigMap", request.name)
    for key, value in sources.entries(request.options, sources.of_configmap(request.name)).items():
        try:
            made.setdefault("data", {})[key] = value.decode()
        except UnicodeDecodeError:
            made.setdefault("binaryData", {})[key] = base64.b64encode(value).decode()
    return made


def _secret(request: Request, type_: str, data: dict[str, bytes]) -> Object:
    made = obj("v1", "Secret", request.name)
    if type_:
        made["type"] = type_
    if data:
        made["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return made


def _generic(request: Request) -> Object:
    return _secret(request, request.options["type"], sources.entries(request.options, sources.OF_SECRET))


def _tls(request: Request) -> Object:
    given = request.options
    if not given["cert"] or not given["key"]:
        raise Failure("error: key and cert must be specified")
    failing = "Cannot read file {0}, open {0}: {1}"
    data = {f"tls.{end}": sources.read(Path(given[flag]), failing) for end, flag in (("crt", "cert"), ("key", "key"))}
    return _secret(request, "kubernetes.io/tls", data)


def _docker(request: Request) -> Object:
    given = request.options
    if given["from_file"]:
        files = sources.from_files(given["from_file"], default_key=_DOCKER_CONFIG)
        data = sources.collected(files, sources.OF_SECRET)
        return _secret(request, "kubernetes.io/dockerconfigjson", data)
    if not (given["docker_username"] and given["docker_password"] and given["docker_server"]):
        raise Failure(
            "error: either --from-file or the combination of --docker-username, --docker-password and --docker-server "
            "is required"
        )
    pair = f"{given['docker_username']}:{given['docker_password']}".encode()
    entry = {"username": given["docker_username"], "password": given["docker_password"]}
    if given["docker_email"]:
        entry["email"] = given["docker_email"]
    entry["auth"] = base64.b64encode(pair).decode()
    config = json.dumps({"auths": {given["docker_server"]: entry}}, separators=(",", ":")).encode()
    return _secret(request, "kubernetes.io/dockerconfigjson", {_DOCKER_CONFIG: config})


_FROM: tuple[Flag, ...] = (
    many("from-literal", help="KEY=VALUE"),
    many("from-file", help="[KEY=]FILE"),
    many("from-env-file", help="A file of KEY=VALUE lines"),
)
_TYPE = text("type", help="Its type.")
_FAILING: Callable[[str], str] = "failed to create {}".format

MAKERS = (
    Maker(("configmap", "cm"), _configmap, _FROM, failing=_FAILING("configmap:")),
    Maker(("secret generic",), _generic, (_TYPE, *_FROM), failing=_FAILING("secret")),
    Maker(
        ("secret tls",),
        _tls,
        (text("cert", help="File of the certificate."), text("key", help="File of the key.")),
        failing=_FAILING("secret"),
    ),
    Maker(
        ("secret docker-registry",),
        _docker,
        (
            text("docker-server", default="https://index.docker.io/v1/", help="Address of the registry."),
            text("docker-username", help="Who logs in."),
            text("docker-password", help="With what."),
            text("docker-email", help="Address of who logs in."),
            many("from-file", help="[.dockerconfigjson=]FILE"),
        ),
        failing=_FAILING("secret"),
    ),
)
