"""ConfigMaps and Secrets out of literals, files and env files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import Flag, many, text
from pylet.cli.kubectl.creating.maker import Maker, Request, obj, required


def _entries(request: Request) -> dict[str, bytes]:
    """The data of --from-literal, --from-file and --from-env-file. Raises: Failure."""
    data: dict[str, bytes] = {}

    def put(key: str, value: bytes) -> None:
        if key in data:
            raise Failure(f'error: cannot add key "{key}", another key by that name already exists')
        data[key] = value

    for literal in request.options["from_literal"]:
        key, equals, value = literal.partition("=")
        if not equals or not key:
            raise Failure(f"error: invalid literal source {literal}, expected key=value")
        put(key, value.strip("'\"").encode() if value[:1] == value[-1:] and value[:1] in "'\"" else value.encode())
    for source in request.options["from_file"]:
        key, equals, path = source.partition("=")
        for name, value in _sources(Path(path if equals else key), key if equals else ""):
            put(name, value)
    for path in request.options["from_env_file"]:
        for line in _read(Path(path)).decode().splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                key, _, value = line.lstrip().partition("=")
                put(key, value.encode())
    return data


def _sources(path: Path, key: str) -> list[tuple[str, bytes]]:
    """Of each key its value; every file is read once, because one may be a pipe."""
    if not path.is_dir():
        return [(key or path.name, _read(path))]
    if key:
        raise Failure("error: cannot give a key name for a directory path")
    return [(file.name, _read(file)) for file in sorted(path.iterdir()) if file.is_file()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"error: error reading {path}: {str(error.strerror).lower()}") from None


def _configmap(request: Request) -> Object:
    made = obj("v1", "ConfigMap", request.name)
    for key, value in _entries(request).items():
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
    return _secret(request, request.options["type"], _entries(request))


def _tls(request: Request) -> Object:
    required(request, "cert", "key")
    data = {"tls.crt": _read(Path(request.options["cert"])), "tls.key": _read(Path(request.options["key"]))}
    return _secret(request, "kubernetes.io/tls", data)


def _docker(request: Request) -> Object:
    given = request.options
    if given["from_file"]:
        return _secret(request, "kubernetes.io/dockerconfigjson", _docker_file(request))
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
    return _secret(request, "kubernetes.io/dockerconfigjson", {".dockerconfigjson": config})


def _docker_file(request: Request) -> dict[str, bytes]:
    [source] = request.options["from_file"]
    return {".dockerconfigjson": _read(Path(source.removeprefix(".dockerconfigjson=")))}


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
