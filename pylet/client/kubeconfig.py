"""Kubeconfig files: which are read, how several become one, and what a client needs out of them.

The rules are client-go's (`tools/clientcmd/loader.go`): of several files the first that names a thing wins, and
relative paths count from the file that has them. Merging is apart from reading, and pure.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pylet.api.object import Object

ADMIN_FILE = Path("/etc/pylet/pylet.yaml")
_LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
_MISSING = {
    "clusters": 'no server found for cluster "{}"',
    "users": 'auth info "{}" does not exist',
    "contexts": "context was not found for specified context: {}",
}
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class KubeconfigError(Exception):
    """A kubeconfig that can't be used, in one line."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An API server and how to prove oneself to it; PEM as bytes."""

    server: str
    ca: bytes | None = None
    insecure: bool = False
    tls_server_name: str = ""
    certificate: bytes | None = None
    key: bytes | None = None
    token: str = ""
    namespace: str = "default"
    impersonation: tuple[tuple[str, str], ...] = ()
    """Headers that say as whom requests are meant."""

    @property
    def host(self) -> str:
        return urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.server)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def path(self) -> str:
        """What every request path begins with; "" as a rule."""
        return urlsplit(self.server).path.rstrip("/")


def paths(environ: Mapping[str, str], explicit: str = "") -> list[Path]:
    """The files to read: --kubeconfig, $KUBECONFIG, ~/.kube/config, else the one `pylet server` writes."""
    if explicit:
        return [Path(explicit)]
    if listed := [part for part in environ.get("KUBECONFIG", "").split(":") if part]:
        return [Path(part) for part in dict.fromkeys(listed)]
    home = Path(environ.get("HOME", "/")) / ".kube" / "config"
    return [home] if home.exists() else [ADMIN_FILE]


def load(files: Iterable[Path], *, required: bool = False) -> Object:
    """The files' merged configuration; absent ones count as empty unless `required`. Raises: KubeconfigError."""
    documents = []
    for file in files:
        try:
            documents.append(_absolute(parse(file, file.read_bytes()), file.parent))
        except FileNotFoundError:
            if required:
                raise KubeconfigError(f"stat {file}: no such file or directory") from None
        except OSError as error:
            raise KubeconfigError(f'error loading config file "{file}": {os.strerror(error.errno or 0)}') from None
    return merge(documents)


def parse(file: Path, data: bytes) -> Object:
    """What one file says, paths in it as they are; `file` names it in errors. Raises: KubeconfigError."""
    import yaml

    try:
        document = yaml.load(data, yaml.CSafeLoader)
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, ValueError) as error:  # of odd tags
        reason = " ".join(str(error).split())
        raise KubeconfigError(f'error loading config file "{file}": {reason}') from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise KubeconfigError(f'error loading config file "{file}": it is not a kubeconfig')
    if (version := document.get("apiVersion", "v1")) != "v1":
        raise KubeconfigError(f'error loading config file "{file}": no kind "Config" is registered for "{version}"')
    for plural, single in _LISTS.items():
        entries = document.get(plural) or []
        if not isinstance(entries, list) or not all(_is_named(entry, single) for entry in entries):
            raise KubeconfigError(
                f'error loading config file "{file}": {plural} has to list a name and a {single} each'
            )
    return document


def _is_named(entry: Any, single: str) -> bool:
    is_named = isinstance(entry, dict) and isinstance(entry.get("name"), str)
    return is_named and isinstance(entry.get(single) or {}, dict)


def _absolute(document: Object, folder: Path) -> Object:
    for plural, single in _LISTS.items():
        for entry in document.get(plural) or ():
            content = entry.get(single) or {}
            for field in _PATHS:
                if content.get(field):
                    content[field] = str(folder / content[field])
    return document


def merge(documents: Iterable[Object]) -> Object:
    """One kubeconfig of several: the first file that names a cluster, user, context or the current context wins."""
    named: dict[str, dict[str, Object]] = {plural: {} for plural in _LISTS}
    current = ""
    preferences: Object = {}
    for document in documents:
        current = current or document.get("current-context") or ""
        preferences = preferences or document.get("preferences") or {}
        for plural in _LISTS:
            for entry in document.get(plural) or ():
                named[plural].setdefault(entry["name"], entry)
    lists = {plural: list(entries.values()) for plural, entries in named.items()}
    return {"apiVersion": "v1", "kind": "Config", "preferences": preferences, "current-context": current, **lists}


def _find(config: Object, plural: str, name: str) -> Object:
    for entry in config.get(plural) or ():
        if entry.get("name") == name:
            content: Object = entry.get(_LISTS[plural]) or {}
            return content
    raise KubeconfigError(_MISSING[plural].format(name))


def endpoint(
    config: Object, *, context: str = "", cluster: str = "", user: str = "", given: Mapping[str, Any] | None = None
) -> Endpoint:
    """What the current (or named) context stands for; `given` fields go before its cluster's and user's own.

    Reads the certificate files it names. Raises: KubeconfigError.
    """
    given = given or {}
    name = context or config.get("current-context") or ""
    chosen = _find(config, "contexts", name) if name else {}
    cluster_name, user_name = cluster or chosen.get("cluster", ""), user or chosen.get("user", "")
    target = _with(_find(config, "clusters", cluster_name) if cluster_name else {}, given)
    person = _with(_find(config, "users", user_name) if user_name else {}, given)
    token = _token(person)
    if not token and ("exec" in person or "auth-provider" in person):
        raise KubeconfigError(f'user "{user_name}" needs a credential plugin, which this client does not run')
    url = target.get("server") or "http://localhost:8080"
    return Endpoint(
        server=url.rstrip("/") if "://" in url else f"http://{url}",
        ca=_content(target, "certificate-authority"),
        insecure=bool(target.get("insecure-skip-tls-verify")),
        tls_server_name=target.get("tls-server-name") or "",
        certificate=_content(person, "client-certificate"),
        key=_content(person, "client-key"),
        token=token,
        namespace=chosen.get("namespace") or "default",
        impersonation=_impersonation(user_name, person),
    )


def _with(content: Object, given: Mapping[str, Any]) -> Object:
    return {field: value for field, value in content.items() if field.removesuffix("-data") not in given} | dict(given)


def _impersonation(user: str, person: Object) -> tuple[tuple[str, str], ...]:
    """Source: client-go `transport/round_trippers.go`, impersonatingRoundTripper."""
    name, uid, groups, extra = (person.get(field) for field in ("as", "as-uid", "as-groups", "as-user-extra"))
    if not name:
        if uid or groups or extra:
            raise KubeconfigError(f"requesting uid, groups or user-extra for {user} without impersonating a user")
        return ()
    return (
        ("Impersonate-User", name),
        *([("Impersonate-Uid", uid)] if uid else []),
        *(("Impersonate-Group", group) for group in groups or ()),
        *((f"Impersonate-Extra-{_escaped(key)}", value) for key, values in (extra or {}).items() for value in values),
    )


def _escaped(key: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isalnum() or chr(byte) in "!#$&'*+-.^_`|~" else f"%{byte:02X}" for byte in key.encode()
    )


def _content(source: Object, field: str) -> bytes | None:
    if data := source.get(f"{field}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise KubeconfigError(f"{field}-data is not base64") from None
    return _read(field, source[field]) if source.get(field) else None


def _token(person: Object) -> str:
    token: str = person.get("token") or ""
    if not token and person.get("tokenFile"):
        token = _read("tokenFile", person["tokenFile"]).decode().strip()
    return token


def _read(field: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise KubeconfigError(f"unable to read {field} {path}: {os.strerror(error.errno or 0)}") from None


def build(server: str, ca: bytes, *, certificate: bytes, key: bytes) -> str:
    """A kubeconfig for one user of one cluster, credentials inside; PyYAML, to write it, would be 0.7 MiB of RSS."""

    def text(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    return f"""\
apiVersion: v1
kind: Config
clusters:
- name: default
  cluster:
    certificate-authority-data: {text(ca)}
    server: {server}
contexts:
- name: default
  context:
    cluster: default
    user: default
current-context: default
users:
- name: default
  user:
    client-certificate-data: {text(certificate)}
    client-key-data: {text(key)}
"""


def renamed(config: Object, name: str) -> Object:
    """A kubeconfig of one cluster with everything in it called `name`, to be merged into another."""
    return {
        **config,
        "clusters": [{**entry, "name": name} for entry in config["clusters"]],
        "users": [{**entry, "name": name} for entry in config["users"]],
        "contexts": [
            {"name": name, "context": {**entry["context"], "cluster": name, "user": name}}
            for entry in config["contexts"]
        ],
        "current-context": name,
    }


def ssl_context(target: Endpoint) -> Any:
    """The `ssl.SSLContext` a client of that endpoint uses. Raises: KubeconfigError for unusable certificates."""
    import ssl

    from pylet.aio import certificate

    try:
        trusted = target.ca.decode() if target.ca else None
        context = certificate.unverified() if target.insecure else certificate.trusting(trusted)
        if target.certificate and target.key:
            certificate.present(context, target.certificate + b"\n" + target.key)
    except (ssl.SSLError, UnicodeDecodeError, OSError) as error:
        raise KubeconfigError(f"unable to load TLS certificates: {error}") from None
    return context
