"""URLs: Kubernetes' library/urls.go, over what Go's net/url takes for an absolute reference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote, unquote_plus

from pylet.api.causes import quoted
from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.functions import Functions, declare, traverse
from pylet.api.cel.types import Type, opaque
from pylet.api.remembered import remembered

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})..?")
_BAD_HOST = re.compile(r"[\s\"<>\\^`{|}]")


@dataclass(frozen=True, slots=True)
class Url:
    CEL_TYPE: ClassVar[Type] = opaque("kubernetes.URL")
    scheme: str
    host: str
    path: str
    query: str

    def __str__(self) -> str:
        authority = f"//{self.host}" if self.host else ""
        return (
            f"{self.scheme + ':' if self.scheme else ''}{authority}{self.path}{'?' + self.query if self.query else ''}"
        )

    @property
    def hostname(self) -> str:
        if self.host.startswith("["):
            return self.host[1 : self.host.find("]")]
        return self.host.partition(":")[0]

    @property
    def port(self) -> str:
        return self.host.rpartition("]")[2].partition(":")[2]


@remembered(256)
def parse_url(text: str) -> Url:
    """Raises: ValueError, worded as Go's `url.ParseRequestURI`."""

    def bad(problem: str) -> ValueError:
        return ValueError(f"parse {quoted(text)}: {problem}")

    if any(char < " " or char == "\x7f" for char in text):
        raise bad("net/url: invalid control character in URL")
    if not text:
        raise bad("empty url")
    body, _, _ = text.partition("#")
    scheme = ""
    if match := _SCHEME.match(body):
        scheme, body = match[1].lower(), body[match.end() :]
    elif body.startswith(":"):
        raise bad("missing protocol scheme")
    elif re.match(r"[^/?#]*:", body):
        raise bad("first path segment in URL cannot contain colon")
    body, _, query = body.partition("?")
    if not body.startswith("/"):
        if scheme:
            return Url(scheme, "", "", query)  # what Go calls opaque
        raise bad("invalid URI for request")
    host = ""
    if body.startswith("//") and (scheme or not body.startswith("///")):
        authority, slash, path = body[2:].partition("/")
        body = slash + path
        host = authority.rpartition("@")[2]
        if problem := _host_problem(host):
            raise bad(problem)
    if escape := _BAD_ESCAPE.search(body):
        raise bad(f'invalid URL escape "{escape[0]}"')
    return Url(scheme, host, body, query)


def _host_problem(host: str) -> str:
    """What is wrong with a host and its port; "" when nothing is."""
    if host.startswith("[") and "]" not in host:
        return "missing ']' in host"
    _, colon, port = host.rpartition("]")[2].partition(":")
    if colon and not (port == "" or (port.isascii() and port.isdigit())):
        return f'invalid port ":{port}" after host'
    if unfit := _BAD_HOST.search(host):
        return f'invalid character "{unfit[0]}" in host name'
    return ""


def _url(text: str) -> Url:
    try:
        return parse_url(text)
    except ValueError as bad:
        raise EvaluationError(f"URL parse error during conversion from string: {bad}") from bad


def _is_url(text: str) -> bool:
    try:
        parse_url(text)
    except ValueError:
        return False
    return True


def _query(url: Url) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for pair in url.query.split("&"):
        if pair and ";" not in pair and not _BAD_ESCAPE.search(pair):
            key, _, value = pair.partition("=")
            values.setdefault(unquote_plus(key), []).append(unquote_plus(value))
    return values


def declare_library(functions: Functions) -> None:
    declare(functions, "url(string): kubernetes.URL", _url, traverse(0.1))
    declare(functions, "isURL(string): bool", _is_url, lambda text: 1 + len(text) // 100)
    declare(functions, "kubernetes.URL -> getScheme(): string", lambda url: url.scheme)
    declare(functions, "kubernetes.URL -> getHost(): string", lambda url: url.host)
    declare(functions, "kubernetes.URL -> getHostname(): string", lambda url: url.hostname)
    declare(functions, "kubernetes.URL -> getPort(): string", lambda url: url.port)
    declare(
        functions, "kubernetes.URL -> getEscapedPath(): string", lambda url: quote(url.path, safe="/%:@!$&'()*+,;=~[]")
    )
    declare(
        functions,
        "kubernetes.URL -> getQuery(): map(string, list(string))",
        _query,
        lambda url: 1 + len(url.query) // 10,
    )
