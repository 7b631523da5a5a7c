"""What one `kubectl create KIND` is: its names, its flags and the builder of its object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import Flag
from pylet.cli.kubectl.resources import Catalog


@dataclass(frozen=True, slots=True)
class Request:
    """The words and flags of one command line."""

    name: str
    command: Sequence[str]
    """What stands behind a `--`."""
    options: dict[str, Any]
    namespace: str
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class Maker:
    names: tuple[str, ...]
    """`service nodeport` is a command below a group."""
    build: Callable[[Request], Object]
    flags: tuple[Flag, ...] = ()
    failing: str = ""
    """How kubectl begins the line for a refusal, "" when it adds nothing."""


def required(request: Request, *names: str) -> None:
    """Raises: Failure, when a flag is missing."""
    missing = [f'"{name}"' for name in names if not request.options[name.replace("-", "_")]]
    if missing:
        raise Failure(f"error: required flag(s) {', '.join(missing)} not set")


def obj(api_version: str, kind: str, name: str, **more: Any) -> Object:
    """With metadata that `labels=` may extend, and further fields as they are."""
    meta: Object = {"name": name}
    if labels := more.pop("labels", None):
        meta["labels"] = labels
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}


def words(values: Sequence[str]) -> list[str]:
    """Of a flag that may be repeated or hold several, between commas."""
    return [word for value in values for word in value.split(",") if word]
