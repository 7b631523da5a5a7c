"""A Handling in HAProxy's words: the rules of a backend. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pylet.agent.ingress.model import Handling, HeaderChange, PathChange, Redirect
from pylet.agent.ingress.routing import quoted

_USUAL = {"http": 80, "https": 443}
_SPECIAL = re.compile(r"[^A-Za-z0-9/_~-]")
_STEPS = {"set": "set-header", "add": "add-header", "remove": "del-header"}


def rules(handling: Handling) -> Iterator[str]:
    if handling.needs_tls:
        yield "http-request redirect scheme https code 308 unless { ssl_fc }"
    if handling.status:
        yield f"http-request return status {handling.status}"
        return
    for change in handling.request:
        yield f"http-request {_header(change)}"
    if handling.path:
        yield from _path(handling.path)
    if handling.redirect:
        yield from _redirect(handling.redirect)
        return
    if handling.host:
        yield f"http-request set-header host {_literal(handling.host)}"
    for change in handling.response:
        yield f"http-response {_header(change)}"
    if handling.timeout_ms:
        yield f"timeout server {handling.timeout_ms}ms"


def _header(change: HeaderChange) -> str:
    words = [_STEPS[change.what], quoted(change.name)]
    return " ".join(words if change.what == "remove" else [*words, _literal(change.value)])


def _path(change: PathChange) -> Iterator[str]:
    if change.prefix is None:
        yield f"http-request set-path {_literal(change.new)}"
        return
    prefix, new = _SPECIAL.sub(r"\\\g<0>", change.prefix.rstrip("/")), change.new.rstrip("/")
    if new:
        yield f"http-request replace-path {quoted(f'^{prefix}(/.*)?$')} {_literal(_no_groups(new) + chr(92) + '1')}"
    else:
        yield f"http-request replace-path {quoted(f'^{prefix}/?(.*)$')} {quoted('/' + chr(92) + '1')}"


def _redirect(redirect: Redirect) -> Iterator[str]:
    host = redirect.host.replace("%", "%%") or "%[var(txn.host)]"
    for has_tls in (True, False):
        asked = f"{'if' if has_tls else 'unless'} {{ ssl_fc }}"
        scheme = redirect.scheme or ("https" if has_tls else "http")
        port = redirect.port or (_USUAL[scheme] if redirect.scheme else 0)
        if port in (0, _USUAL[scheme]):
            usual = "" if port else f" {{ dst_port {_USUAL[scheme]} }}"
            yield _redirected(scheme, host, redirect.code, asked.replace("unless", "if !") + usual)
        if port != _USUAL[scheme]:
            to = f"{host}:{port or '%[dst_port]'}"
            yield _redirected(scheme, to, redirect.code, asked.replace("unless", "if !"))


def _redirected(scheme: str, host: str, code: int, condition: str) -> str:
    return f"http-request redirect location {quoted(f'{scheme}://{host}%[pathq]')} code {code} {condition}"


def _literal(text: str) -> str:
    """Text where HAProxy looks for %[expressions]."""
    return quoted(text.replace("%", "%%"))


def _no_groups(text: str) -> str:
    return text.replace("\\", "\\\\")
