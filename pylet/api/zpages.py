"""/statusz and /flagz of a component: since when it runs and what it is, and what it was told at its start.

Source: apiserver pkg/server/{statusz,flagz}; KEPs 4827 and 4828. Loaded when somebody asks.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pylet.api.errors import NotAcceptable
from pylet.api.object import Object
from pylet.api.timestamps import format_time
from pylet.api.wire.accept import clauses
from pylet.api.wire.yaml_text import as_yaml
from pylet.version import KUBERNETES

_WARNING = (
    "This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for "
    "debugging purposes only."
)
_VERSIONS = ("v1beta1", "v1alpha1")
_STRUCTURED: dict[str, Callable[[Any], bytes]] = {"application/json": orjson.dumps, "application/yaml": as_yaml}
_FORMS = (*_STRUCTURED, "text/plain")


@dataclass(frozen=True, slots=True)
class Page:
    body: bytes
    type: str
    headers: tuple[tuple[str, str], ...] = ()


def statusz(component: str, paths: Sequence[str], accept: str, started: datetime, now: datetime) -> Page:
    """`paths` are what is served beside. Raises: NotAcceptable."""
    seconds = int((now - started).total_seconds())
    binary = KUBERNETES.removeprefix("v")
    emulated = binary.rpartition(".")[0]
    told = {
        "startTime": format_time(started),
        "uptimeSeconds": seconds,
        "goVersion": "",
        "binaryVersion": binary,
        "emulationVersion": emulated,
        "paths": list(paths),
    }
    lines = {
        "Started": f"{started:%a %b %e %H:%M:%S UTC %Y}",
        "Up": f"{seconds // 3600} hr {seconds // 60 % 60:02d} min {seconds % 60:02d} sec",
        "Python version": platform.python_version(),
        "Binary version": binary,
        "Emulation version": emulated,
        "Paths": " ".join(paths),
    }
    text = "\n" + "".join(f"{name}: {value}\n" for name, value in lines.items())
    return _page(accept, component, "Statusz", told, text)


def flagz(component: str, accept: str, flags: Mapping[str, str]) -> Page:
    """Raises: NotAcceptable."""
    told = dict(sorted(flags.items()))
    text = "".join(f"{name}={value}\n" for name, value in told.items())
    return _page(accept, component, "Flagz", {"flags": told}, text)


def _page(accept: str, component: str, kind: str, told: Object, text: str) -> Page:
    """As text, or structured for who asks for that. Raises: NotAcceptable."""
    name = kind.lower()
    for clause in clauses(accept):
        version = clause.params.get("v", "")
        asked = clause.params.get("as"), clause.params.get("g")
        is_structured = asked == (kind, "config.k8s.io") and version in _VERSIONS
        form = next((form for form in _FORMS if clause.matches(form) and (form in _STRUCTURED) == is_structured), None)
        if form in _STRUCTURED:
            head = {"kind": kind, "apiVersion": f"config.k8s.io/{version}", "metadata": {"name": component}}
            old = f'299 - "This version of the {name} endpoint is deprecated. Please use a newer version."'
            headers = (("Warning", old),) * (version == "v1alpha1")
            return Page(_STRUCTURED[form](head | told), f"{form};g=config.k8s.io;v={version};as={kind}", headers)
        if form is not None:
            body = f"\n{component} {name}\nWarning: {_WARNING}\n{text}"
            return Page(body.encode(), "text/plain; charset=utf-8")
    raise NotAcceptable(f"only the following media types are accepted: {', '.join(_FORMS)}")
