"""/statusz: since when this server runs, and what it is. Source: component-base zpages/statusz; KEP 4827."""

from __future__ import annotations

import platform
from datetime import datetime

import orjson

from pylet.api.errors import NotAcceptable
from pylet.api.timestamps import format_time
from pylet.server.http.answer import Answer
from pylet.server.http.negotiation import clauses
from pylet.version import KUBERNETES

_PATHS = ("/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version")
_WARNING = (
    "This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for "
    "debugging purposes only."
)
_OLD = '299 - "This version of the statusz endpoint is deprecated. Please use a newer version."'


def statusz(accept: str, started: datetime, now: datetime) -> Answer:
    """As text, or structured for who asks for that. Raises: NotAcceptable."""
    seconds = int((now - started).total_seconds())
    binary = KUBERNETES.removeprefix("v")
    emulated = binary.rpartition(".")[0]
    for clause in clauses(accept):
        asked = clause.params
        if clause.type == "application/json" and asked.get("as") == "Statusz" and asked.get("g") == "config.k8s.io":
            version = asked.get("v", "")
            if version in ("v1beta1", "v1alpha1"):
                made = {
                    "kind": "Statusz",
                    "apiVersion": f"config.k8s.io/{version}",
                    "metadata": {"name": "apiserver"},
                    "startTime": format_time(started),
                    "uptimeSeconds": seconds,
                    "goVersion": "",
                    "binaryVersion": binary,
                    "emulationVersion": emulated,
                    "paths": list(_PATHS),
                }
                type_ = f"application/json;g=config.k8s.io;v={version};as=Statusz"
                return Answer(orjson.dumps(made), type_=type_, headers=(("Warning", _OLD),) * (version == "v1alpha1"))
        if clause.type in ("text/plain", "*/*", "text/*"):
            lines = {
                "Started": f"{started:%a %b %e %H:%M:%S UTC %Y}",
                "Up": f"{seconds // 3600} hr {seconds // 60 % 60:02d} min {seconds % 60:02d} sec",
                "Python version": platform.python_version(),
                "Binary version": binary,
                "Emulation version": emulated,
                "Paths": " ".join(_PATHS),
            }
            told = "".join(f"{name}: {value}\n" for name, value in lines.items())
            return Answer.text(f"\napiserver statusz\nWarning: {_WARNING}\n\n{told}")
    raise NotAcceptable("only the following media types are accepted: application/json, application/yaml, text/plain")
