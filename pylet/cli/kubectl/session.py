"""One run of a kubectl verb: which cluster, which namespace, and the client and catalog, made when first used.

Everything here and in the verbs is imported when needed, because a command line is judged by its start: `get pods`
takes 107 ms at best, 116 in the median (two shared cores, byte code cached); bare Python is 11 of it, imports are 70.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pylet.api import goduration
from pylet.cli.failure import Failure
from pylet.client import kubeconfig

if TYPE_CHECKING:
    from pylet.cli.kubectl.http import Api
    from pylet.cli.kubectl.resources import Catalog

_ACCEPTED = "Accepted for scripts written for kubectl; changes nothing."
# name, short, value when it stands alone, help
GLOBALS: tuple[tuple[str, str, str | None, str], ...] = (
    ("as", "", None, "User to impersonate."),
    ("as-group", "", None, "Group to impersonate; may be given several times."),
    ("as-uid", "", None, "UID to impersonate."),
    ("as-user-extra", "", None, "KEY=VALUE to impersonate with; may be given several times."),
    ("cache-dir", "", None, _ACCEPTED),
    ("disable-compression", "", "true", _ACCEPTED),
    ("certificate-authority", "", None, "File with the certificate of the server's CA."),
    ("client-certificate", "", None, "File with a client certificate."),
    ("client-key", "", None, "File with its key."),
    ("kubeconfig", "", None, "Kubeconfig file to use."),
    ("context", "", None, "Context of the kubeconfig to use."),
    ("cluster", "", None, "Cluster of the kubeconfig to use."),
    ("user", "", None, "User of the kubeconfig to use."),
    ("namespace", "n", None, "Namespace of this request."),
    ("server", "s", None, "Address of the API server."),
    ("token", "", None, "Bearer token to use."),
    ("insecure-skip-tls-verify", "", "true", "Do not check the server's certificate."),
    ("request-timeout", "", None, "How long to wait for one answer, as in 5s; 0 waits for ever."),
    ("tls-server-name", "", None, "Name the server's certificate is checked for."),
    ("match-server-version", "", "true", "Require the server's version to be this program's."),
    ("warnings-as-errors", "", "true", "End with an error where the server warned."),
    ("v", "v", None, "How much to tell: 6 of each request, 8 with headers and bodies."),
)
REPEATED = frozenset({"as-group", "as-user-extra"})


def duration_seconds(text: str, flag: str) -> float:
    """A Go duration such as 1m30s, or plain seconds. Raises: Failure."""
    if re.fullmatch(r"-?\d+", text):
        return float(text)
    try:
        return goduration.nanoseconds(text) / 1e9
    except ValueError as bad:
        raise Failure(f'error: invalid argument "{text}" for "{flag}" flag: {bad}') from None


class Session:
    """`settings` are the global options that were given, by field name; `line` is the whole of what was asked."""

    def __init__(
        self, settings: Mapping[str, Any], *, command: str = "kubectl", words_before_dash: int = -1, line: str = ""
    ) -> None:
        self.settings = settings
        self.command = command
        self.words_before_dash = words_before_dash
        self._line = line

    @cached_property
    def config(self) -> dict[str, Any]:
        return kubeconfig.load(self.config_files, required=bool(self.settings.get("kubeconfig")))

    @property
    def config_files(self) -> list[Path]:
        return kubeconfig.paths(os.environ, self.settings.get("kubeconfig") or "")

    @cached_property
    def endpoint(self) -> kubeconfig.Endpoint:
        names = ("context", "cluster", "user")
        return kubeconfig.endpoint(
            self.config, **{name: self.settings.get(name) or "" for name in names}, given=self._given
        )

    @property
    def _given(self) -> dict[str, Any]:
        """What the options say instead of the kubeconfig, by its fields."""
        fields = ("server", "token", "tls-server-name", "as", "as-uid", "certificate-authority", "client-certificate")
        found = {field: self.settings.get(field.replace("-", "_")) for field in (*fields, "client-key")}
        found["as-groups"] = list(self.settings.get("as_group") or ())
        extra: dict[str, list[str]] = {}
        for pair in self.settings.get("as_user_extra") or ():
            key, _, value = pair.partition("=")
            extra.setdefault(key, []).append(value)
        found["as-user-extra"] = extra
        found["insecure-skip-tls-verify"] = self.settings.get("insecure_skip_tls_verify") == "true"
        return {field: value for field, value in found.items() if value}

    @cached_property
    def api(self) -> Api:
        from pylet.cli.kubectl.http import Api

        api = Api(self.endpoint, self._timeout_seconds, verbosity=self._verbosity)
        if self.settings.get("match_server_version") == "true":
            _match(api.request("GET", "/version")["gitVersion"])
        return api

    @property
    def _timeout_seconds(self) -> float | None:
        try:
            return duration_seconds(self.settings.get("request_timeout") or "0", "--request-timeout") or None
        except Failure:
            told = (
                "a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
            )
            raise Failure(f"error: Invalid timeout value. Timeout must be {told}") from None

    @property
    def _verbosity(self) -> int:
        given = str(self.settings.get("v") or 0)
        if not given.isdecimal():
            told = f'invalid argument "{given}" for "-v, --v" flag: strconv.ParseInt: parsing "{given}": invalid syntax'
            raise Failure(f"error: {told}\nSee '{self.command} --help' for usage.")
        return int(given)

    def finish(self) -> None:
        """Ends a run that went well. Raises: Failure."""
        if self.settings.get("warnings_as_errors") == "true" and (count := len(self.api.warned)):
            raise Failure(f"error: {count} warning{'s' if count > 1 else ''} received")

    @cached_property
    def catalog(self) -> Catalog:
        from pylet.cli.kubectl.resources import Catalog

        return Catalog(self.api)

    @cached_property
    def change_cause(self) -> str:
        """What --record notes."""
        print("Flag --record has been deprecated, --record will be removed in the future", file=sys.stderr)
        return self._line

    @property
    def namespace_given(self) -> bool:
        return bool(self.settings.get("namespace"))

    @cached_property
    def namespace(self) -> str:
        return self.settings.get("namespace") or self.endpoint.namespace


def _match(theirs: str) -> None:
    from pylet.version import VERSION

    if theirs != VERSION:
        raise Failure(f"error: client version ({VERSION}) differs from server version ({theirs})")
