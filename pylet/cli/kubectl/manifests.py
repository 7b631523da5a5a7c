"""The objects in `-f`: files, folders, URLs and stdin, YAML of several documents, JSON, Lists."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any, ClassVar

from pylet.api.errors import aggregated
from pylet.api.object import Object
from pylet.api.selector import parse_labels
from pylet.cli.failure import Failure
from pylet.cli.kubectl.documents import to_compact_json
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.resources import Resource
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_JSON_TYPES = {str: "string", list: "array", bool: "bool"}
_SUFFIXES = (".json", ".yaml", ".yml")


def objects(
    filenames: Sequence[str], *, recursive: bool = False, labels: str = "", validation: str = "Ignore"
) -> Iterator[tuple[str, Object | Failure]]:
    """Every object that bears the labels, or what keeps it from being one, with the name of its source.

    `validation` other than Ignore words it as a schema would. Raises: Failure, where no file is named or there.
    """
    if not filenames:
        raise Failure("error: must specify one of -f and -k")
    selector = parse_labels(labels)
    for name in (part for filename in filenames for part in filename.split(",")):
        for source, data in contents(name, recursive=recursive):
            try:
                for obj in documents(source, data, checked=validation != "Ignore"):
                    if selector((obj.get("metadata") or {}).get("labels") or {}):
                        yield source, obj
            except Failure as failure:
                yield source, failure


def read(filenames: Sequence[str], *, recursive: bool = False, labels: str = "") -> Iterator[tuple[str, Object]]:
    """Every object that bears the labels, with the name of its source. Raises: Failure."""
    for source, obj in objects(filenames, recursive=recursive, labels=labels):
        if isinstance(obj, Failure):
            raise obj
        yield source, obj


def contents(name: str, *, recursive: bool = False) -> Iterator[tuple[str, bytes]]:
    """What a file, the files of a folder, a URL or stdin hold, with their names. Raises: Failure, ConnectionFailed."""
    if name == "-":
        yield "STDIN", sys.stdin.buffer.read()
    elif name.startswith(("http://", "https://")):
        from pylet.cli.kubectl.downloading import downloaded

        yield name, downloaded(name)
    else:
        for path in _paths(name):
            for file in _files(path, recursive=recursive) if path.is_dir() else [path]:
                try:
                    yield str(file), file.read_bytes()
                except OSError as error:
                    raise Failure(f"error: open {file}: {str(error.strerror).lower()}") from None


def _paths(name: str) -> list[Path]:
    """What is called so, or what it stands for as a pattern. Raises: Failure."""
    found = [name] if Path(name).exists() else sorted(glob(name))
    if not found:
        raise Failure(f'error: the path "{name}" does not exist')
    return [Path(path) for path in found]


def _files(folder: Path, *, recursive: bool) -> list[Path]:
    found = folder.rglob("*") if recursive else folder.iterdir()
    files = sorted(file for file in found if file.is_file() and file.suffix in _SUFFIXES)
    if not files:
        names = "[" + " ".join(sorted(_SUFFIXES)) + "]"
        raise Failure(f"error: error reading {[str(folder)]}: recognized file extensions are {names}".replace("'", ""))
    return files


def documents(source: str, data: bytes, *, checked: bool = False) -> Iterator[Object]:
    """The objects in YAML or JSON; `checked` words what is missing as a schema would. Raises: Failure."""
    import yaml

    class Loader(yaml.CSafeLoader):
        """YAML as Kubernetes reads it: a date is a text, a bare y or n is a boolean."""

        bool_values: ClassVar = {**yaml.CSafeLoader.bool_values, "y": True, "n": False}

    Loader.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
    try:
        for document in _json_documents(data) or yaml.load_all(data, Loader):
            if document is not None:
                yield from _flattened(source, document, checked=checked)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise Failure(f"error: error parsing {source}: error converting YAML to JSON: yaml: {where}{problem}") from None


def _json_documents(data: bytes) -> list[Any]:
    """JSON objects one after another, which YAML does not know; [] when it is not that."""
    if not data.lstrip().startswith(b"{"):
        return []
    decoder, found = json.JSONDecoder(), []
    try:
        rest = data.decode().strip()
        while rest:
            document, end = decoder.raw_decode(rest)
            found.append(document)
            rest = rest[end:].lstrip()
    except ValueError:
        return []
    return found


def _flattened(source: str, document: Any, *, checked: bool) -> Iterator[Object]:
    if not isinstance(document, dict):
        raise Failure(
            f'error: unable to decode "{source}": json: cannot unmarshal {_JSON_TYPES.get(type(document), "number")} '
            "into Go value of type map[string]interface {}"
        )
    missing = [f"{field} not set" for field in ("apiVersion", "kind") if not document.get(field)]
    if missing and checked:
        raise Failure(
            f'error: error validating "{source}": error validating data: {aggregated(missing)}; if you choose to '
            "ignore these errors, turn validation off with --validate=false"
        )
    for field in ("apiVersion", "kind"):
        if not document.get(field):
            text = to_compact_json(document)
            what = "Kind" if field == "kind" else field
            raise Failure(f"error: unable to decode \"{source}\": Object '{what}' is missing in '{text}'")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _flattened(source, item, checked=checked)
    else:
        yield document


def targets(session: Session, filenames: Sequence[str], *, recursive: bool = False, labels: str = "") -> list[Target]:
    """Where every object belongs on the server; not asked there. Raises: Failure."""
    return [target(session, obj, source) for source, obj in read(filenames, recursive=recursive, labels=labels)]


def good(
    session: Session,
    filenames: Sequence[str],
    failures: Collected,
    *,
    recursive: bool = False,
    labels: str = "",
    validation: str = "Ignore",
) -> list[Target]:
    """Those of `targets` that there are, and `failures` of the others. Raises: Failure, where there is no such file."""
    found = []
    for source, obj in objects(filenames, recursive=recursive, labels=labels, validation=validation):
        if isinstance(obj, Failure):
            failures.add(obj)
        elif (made := failures.attempt(target, session, obj, source)) is not None:
            found.append(made)
    return found


def target(session: Session, obj: Object, source: str) -> Target:
    """Raises: Failure, for a kind the server has not and for a namespace that contradicts -n."""
    meta = obj.setdefault("metadata", {}) or {}
    obj["metadata"] = meta
    name = str(meta.get("name") or "")
    resource = resource_of(session, obj, source)
    if not resource.namespaced:
        return Target(resource, "", name, obj, source)
    namespace = meta.get("namespace") or session.namespace
    if session.namespace_given and namespace != session.namespace:
        raise Failure(
            f'error: the namespace from the provided object "{namespace}" does not match the namespace '
            f"\"{session.namespace}\". You must pass '--namespace={namespace}' to perform this operation."
        )
    meta["namespace"] = namespace
    return Target(resource, namespace, name, obj, source)


def resource_of(session: Session, obj: Object, source: str) -> Resource:
    """Raises: Failure, for a kind the server has not."""
    resource = session.catalog.of_kind(obj["apiVersion"], obj["kind"])
    if resource is None:
        meta = obj.get("metadata") or {}
        raise Failure(
            f'error: resource mapping not found for name: "{meta.get("name") or ""}" '
            f'namespace: "{meta.get("namespace") or ""}" from "{source}": '
            f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"\nensure CRDs are installed first'
        )
    return resource


def unsent(obj: Object, source: str) -> Target:
    """What a file holds, of whatever kind it is, without a server to ask."""
    from pylet.api.kinds import by_kind

    group, _, version = obj["apiVersion"].rpartition("/")
    kind = by_kind(group, version, obj["kind"])
    plural = kind.plural if kind else f"{obj['kind'].lower()}s"
    resource = Resource(group, version, plural, obj["kind"], namespaced=kind is None or kind.namespaced)
    meta = obj.get("metadata") or {}
    return Target(resource, meta.get("namespace") or "", str(meta.get("name") or ""), obj, source)


def raw(session: Session, method: str, path: str, filenames: Sequence[str]) -> str:
    """The answer to a file sent as it is. Raises: Failure, ApiError."""
    if len(filenames) != 1:
        raise Failure("error: --raw can only use a single local file or stdin")
    ((_, data),) = contents(filenames[0])
    return session.api.raw(method, path, data)
