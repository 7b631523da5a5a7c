"""Acting as somebody else: `Impersonate-*` headers, each of which has to be allowed.

Constrained impersonation is tried first: it asks for `impersonate:<mode>` of the identity and for
`impersonate-on:<mode>:<verb>` of what is done in its name (KEP-5284). Where no mode allows it, `impersonate` decides
as it always did. Source: apiserver pkg/endpoints/filters/impersonation.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

from pylet.aio.prometheus import Counter, Histogram
from pylet.api import names
from pylet.api.causes import quoted
from pylet.api.errors import BadRequest, Forbidden
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.authenticate import ANONYMOUS, UNAUTHENTICATED, groups_of
from pylet.server.auth.authorize import MASTERS
from pylet.server.auth.request_header import user_in
from pylet.server.registry import User

_ACCOUNT, _NODE = "system:serviceaccount:", "system:node:"
_GROUP = "authentication.k8s.io"
_REMEMBERED = 10_000
_LEGACY = "legacy"
_NODE_NAME = "authentication.kubernetes.io/node-name"

_SECONDS = tuple(0.001 * 2**n for n in range(15))
_OF_MODE = ("decision", "mode")

Ask = Callable[[Attributes], Awaitable[Decision]]


class Impersonated(NamedTuple):
    """`constraint` is the right it happens by, "" for the unconstrained one."""

    user: User
    constraint: str


class _Wanted(User):
    __slots__ = ()

    @property
    def node(self) -> str:
        """The node's name, "" for who is none."""
        name = self.name.removeprefix(_NODE)
        return name if self.name.startswith(_NODE) and not names.dns_subdomain(name) else ""

    @property
    def account(self) -> tuple[str, ...]:
        """Namespace and name of a service account, () for who is none."""
        parts = tuple(self.name.removeprefix(_ACCOUNT).split(":")) if self.name.startswith(_ACCOUNT) else ()
        is_one = len(parts) == 2 and not names.dns_label(parts[0]) and not names.dns_subdomain(parts[1])
        return parts if is_one else ()

    @property
    def is_name_alone(self) -> bool:
        return not (self.uid or self.groups or self.extra)


class Impersonation:
    """Who acts as somebody does so by the same right again and again: the one that served him last is tried first."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._last: dict[str, str] = {}
        """Modes by the name of who asks."""
        self._attempts = _counted("attempts", "Who would act as somebody else.")
        self._questions = _counted("authorization_attempts", "What was asked about who would.")

    def metrics(self) -> Iterator[str]:
        for counted in (*self._attempts, *self._questions):
            yield from counted.lines()

    async def begin(self, asked: Attributes, headers: Iterable[tuple[str, str]]) -> Impersonated | None:
        """The user to act as; None where nobody is named. Raises: BadRequest, Forbidden."""
        said = user_in(headers, "impersonate-")
        wanted = _Wanted(said.name, said.groups, said.uid, said.extra)
        if not wanted.name:
            if wanted.is_name_alone:
                return None
            raise BadRequest(_without_name(wanted))
        name, refused, began = asked.user.name, None, time.perf_counter()
        last = self._last.get(name)
        for mode in sorted(_modes(asked.user, wanted), key=lambda mode: mode != last):
            try:
                acting = await _check(asked, wanted, mode, partial(self._asked, mode))
            except Forbidden as why:
                refused = refused or why
                continue
            if len(self._last) >= _REMEMBERED:
                self._last.clear()
            self._last[name] = mode
            _count(self._attempts, "allowed", mode or _LEGACY, began)
            return acting
        assert refused is not None
        _count(self._attempts, "denied", "", began)
        raise refused

    async def _asked(self, mode: str, question: Attributes) -> Decision:
        began = time.perf_counter()
        decision = await self._ask(question)
        _count(self._questions, "allowed" if decision.allowed else "denied", mode or _LEGACY, began)
        return decision


_Counted: TypeAlias = tuple[Counter, Histogram]


def _counted(what: str, means: str) -> _Counted:
    name = f"apiserver_impersonation_{what}"
    return Counter(f"{name}_total", means, _OF_MODE), Histogram(f"{name}_duration_seconds", means, _OF_MODE, _SECONDS)


def _count(counted: _Counted, decision: str, mode: str, began: float) -> None:
    number, seconds = counted
    number.add(decision, mode)
    seconds.observe(time.perf_counter() - began, decision, mode)


def _modes(user: User, wanted: _Wanted) -> Iterator[str]:
    if wanted.is_name_alone and wanted.node:
        if user.name.startswith(_ACCOUNT) and list(user.extra.get(_NODE_NAME, ())) == [wanted.node]:
            yield "associated-node"
        yield "arbitrary-node"
    if wanted.is_name_alone and wanted.account:
        yield "serviceaccount"
    if not wanted.node and not wanted.account:
        yield "user-info"
    yield ""


async def _check(asked: Attributes, wanted: _Wanted, mode: str, ask: Ask) -> Impersonated:
    """Raises: Forbidden."""
    user = asked.user
    if mode == "associated-node":
        user = replace(user, extra={"authentication.kubernetes.io/associated-node-keys": sorted(user.extra)})
    if mode:
        await _require(asked._replace(user=user, verb=f"impersonate-on:{mode}:{asked.verb}"), ask)
    verb = f"impersonate:{mode}" if mode else "impersonate"
    for question, forbidden in _questions(user, wanted, verb, is_constrained=bool(mode)):
        if forbidden:
            raise question.forbidden(forbidden)
        await _require(question, ask)
    groups = wanted.groups
    if wanted.account and not groups:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{wanted.account[0]}")
    elif mode and wanted.node:
        groups = ("system:nodes",)
    if wanted.name == ANONYMOUS.name and UNAUTHENTICATED not in groups:
        groups = (*groups, UNAUTHENTICATED)
    groups = groups_of(wanted.name, groups)
    return Impersonated(User(wanted.name, groups, wanted.uid, wanted.extra), verb if mode else "")


def _questions(user: User, wanted: _Wanted, verb: str, *, is_constrained: bool) -> Iterator[tuple[Attributes, str]]:
    """What has to be allowed, each with why it is refused without asking ("": ask)."""
    own = Attributes(user, verb, _GROUP, "v1")
    names_in = own if is_constrained else own._replace(group="")
    if is_constrained and wanted.node:
        name = "*" if verb.endswith("associated-node") else wanted.node
        yield names_in._replace(resource="nodes", name=name), ""
    elif wanted.account:
        namespace, name = wanted.account
        yield names_in._replace(resource="serviceaccounts", namespace=namespace, name=name), ""
    else:
        yield names_in._replace(resource="users", name=wanted.name), ""
    if wanted.uid:
        yield own._replace(resource="uids", name=wanted.uid), ""
    for group in wanted.groups:
        question = names_in._replace(resource="groups", name=group)
        if is_constrained and group == MASTERS:
            yield question, "impersonating the system:masters group is not allowed"
        if is_constrained and not group:
            yield question, "impersonating the empty string group is not allowed"
        yield question, ""
    for key, values in wanted.extra.items():
        extra = own._replace(resource="userextras", subresource=key)
        if is_constrained and (wrong := _wrong_extra(key, values)):
            yield own._replace(resource="userextras"), wrong
        for value in values:
            yield extra._replace(name=value), ""


def _wrong_extra(key: str, values: Sequence[str]) -> str:
    if not key:
        return "impersonating the empty string key in extra is not allowed"
    if key != key.lower():
        return f'impersonating a non-lowercase key in extra is not allowed: "{key}"'
    domain, slash, path = key.partition("/")
    if not slash or not path or names.dns_subdomain(domain):
        why = 'must be a domain-prefixed path (such as "acme.io/foo")'
        return f'impersonating an invalid key in extra is not allowed: extra.key: Invalid value: "{key}": {why}'
    return "impersonating the empty string value in extra is not allowed" if "" in values else ""


async def _require(question: Attributes, ask: Ask) -> None:
    """Raises: Forbidden."""
    decision = await ask(question)
    if not decision.allowed:
        raise question.forbidden(decision.reason)


def _without_name(wanted: _Wanted) -> str:
    """As Go shows the structure, which upstream's message does."""
    groups = _strings(wanted.groups) if wanted.groups else "[]string(nil)"
    pairs = ", ".join(f"{quoted(key)}:{_strings(values)}" for key, values in sorted(wanted.extra.items()))
    extra = f"map[string][]string{{{pairs}}}" if pairs else "map[string][]string(nil)"
    shown = f'&user.DefaultInfo{{Name:"", UID:"{wanted.uid}", Groups:{groups}, Extra:{extra}}}'
    return f"requested {shown} without impersonating a user name"


def _strings(texts: Iterable[str]) -> str:
    return f"[]string{{{', '.join(map(quoted, texts))}}}"
