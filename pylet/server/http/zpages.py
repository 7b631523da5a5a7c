"""/statusz and /flagz: since when this server runs and what it is, and what it was told at its start.

Source: component-base zpages/{statusz,flagz}; KEPs 4827 and 4828.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import datetime

import orjson

from pylet.api.errors import NotAcceptable
from pylet.api.object import Object
from pylet.api.timestamps import format_time
from pylet.server.http.answer import Answer
from pylet.server.http.negotiation import clauses
from pylet.server.http.representation import as_yaml
from pylet.version import KUBERNETES

_PATHS = ("/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version")
_WARNING = (
    "This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for "
    "debugging purposes only."
)
_VERSIONS = ("v1beta1", "v1alpha1")


def statusz(accept: str, started: datetime, now: datetime) -> Answer:
    """Raises: NotAcceptable."""
    seconds = int((now - started).total_seconds())
    binary = KUBERNETES.removeprefix("v")
    emulated = binary.rpartition(".")[0]
    told = {
        "startTime": format_time(started),
        "uptimeSeconds": seconds,
        "goVersion": "",
        "binaryVersion": binary,
        "emulationVersion": emulated,
        "paths": list(_PATHS),
    }
    lines = {
        "Started": f"{started:%a %b %e %H:%M:%S UTC %Y}",
        "Up": f"{seconds // 3600} hr {seconds // 60 % 60:02d} min {seconds % 60:02d} sec",
        "Python version": platform.python_version(),
        "Binary version": binary,
        "Emulation version": emulated,
        "Paths": " ".join(_PATHS),
    }
    return _page(accept, "Statusz", told, "\n" + "".join(f"{name}: {value}\n" for name, value in lines.items()))


def flagz(accept: str, flags: Mapping[str, str]) -> Answer:
    """Raises: NotAcceptable."""
    told = dict(sorted(flags.items()))
    return _page(accept, "Flagz", {"flags": told}, "".join(f"{name}={value}\n" for name, value in told.items()))


def _page(accept: str, kind: str, told: Object, text: str) -> Answer:
    """As text, or structured for who asks for that. Raises: NotAcceptable."""
    name = kind.lower()
    for clause in clauses(accept):
        form, version = clause.type.removeprefix("application/"), clause.params.get("v", "")
        asked = clause.params.get("as"), clause.params.get("g")
        if form in ("json", "yaml") and asked == (kind, "config.k8s.io") and version in _VERSIONS:
            head = {"kind": kind, "apiVersion": f"config.k8s.io/{version}", "metadata": {"name": "apiserver"}}
            old = f'299 - "This version of the {name} endpoint is deprecated. Please use a newer version."'
            headers = (("Warning", old),) * (version == "v1alpha1")
            body = orjson.dumps(head | told) if form == "json" else as_yaml(head | told)
            type_ = f"application/{form};g=config.k8s.io;v={version};as={kind}"
            return Answer(body, type_=type_, headers=headers)
        if clause.type in ("text/plain", "*/*", "text/*"):
            return Answer.text(f"\napiserver {name}\nWarning: {_WARNING}\n{text}")
    raise NotAcceptable("only the following media types are accepted: application/json, application/yaml, text/plain")
