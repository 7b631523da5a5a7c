"""One run of a kubectl verb: which cluster, which namespace, and the client and catalog, made when first used.

Everything here and in the verbs is imported when needed, because a command line is judged by its start: `get pods`
takes 107 ms at best, 116 in the median (two shared cores, byte code cached); bare Python is 11 of it, imports are 70.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pylet.cli.failure import Failure
from pylet.client import kubeconfig

if TYPE_CHECKING:
    from pylet.cli.kubectl.http import Api
    from pylet.cli.kubectl.resources import Catalog

# name, short, value when it stands alone, help
GLOBALS: tuple[tuple[str, str, str | None, str], ...] = (
    ("kubeconfig", "", None, "Kubeconfig file to use."),
    ("context", "", None, "Context of the kubeconfig to use."),
    ("cluster", "", None, "Cluster of the kubeconfig to use."),
    ("user", "", None, "User of the kubeconfig to use."),
    ("namespace", "n", None, "Namespace of this request."),
    ("server", "s", None, "Address of the API server."),
    ("token", "", None, "Bearer token to use."),
    ("insecure-skip-tls-verify", "", "true", "Do not check the server's certificate."),
    ("request-timeout", "", None, "How long to wait for one answer, as in 5s; 0 waits for ever."),
    ("v", "v", None, "Accepted for scripts written for kubectl; changes nothing."),
)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_seconds(text: str, flag: str) -> float:
    """A Go duration such as 1m30s, or plain seconds. Raises: Failure."""
    if re.fullmatch(r"-?\d+", text):
        return float(text)
    match = re.fullmatch(r"(-?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)", text)
    if not match:
        raise Failure(f'error: invalid argument "{text}" for "{flag}" flag: time: invalid duration "{text}"')
    total = sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", match[2]))
    return -total if match[1] else total


class Session:
    """`settings` are the global options that were given, by field name."""

    def __init__(self, settings: Mapping[str, Any], *, command: str = "kubectl", words_before_dash: int = -1) -> None:
        self.settings = settings
        self.command = command
        self.words_before_dash = words_before_dash

    @cached_property
    def config(self) -> dict[str, Any]:
        explicit = self.settings.get("kubeconfig") or ""
        return kubeconfig.load(kubeconfig.paths(os.environ, explicit), required=bool(explicit))

    @cached_property
    def endpoint(self) -> kubeconfig.Endpoint:
        from dataclasses import replace

        names = ("context", "cluster", "user", "server", "token")
        found = kubeconfig.endpoint(self.config, **{name: self.settings.get(name) or "" for name in names})
        if self.settings.get("insecure_skip_tls_verify") == "true":
            found = replace(found, insecure=True)
        return found

    @cached_property
    def api(self) -> Api:
        from pylet.cli.kubectl.http import Api

        timeout = duration_seconds(self.settings.get("request_timeout") or "0", "--request-timeout")
        return Api(self.endpoint, timeout or None)

    @cached_property
    def catalog(self) -> Catalog:
        from pylet.cli.kubectl.resources import Catalog

        return Catalog(self.api)

    @property
    def namespace_given(self) -> bool:
        return bool(self.settings.get("namespace"))

    @cached_property
    def namespace(self) -> str:
        return self.settings.get("namespace") or self.endpoint.namespace
