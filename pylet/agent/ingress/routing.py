"""From routes to HAProxy's maps and rules: where a request of one port goes. Pure.

What only asks for host and path is found in maps, however many there are; what asks for more is a chain of rules that
the maps lead to. Variables: `txn.site` the host that decides, `txn.to` the backend, or for a while the name of a chain
(`?…`) or of several backends that share the requests (`=…`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pylet.agent.ingress.model import ANY_HOST, EXACT, PREFIX, REGEX, Port, Route, Share, Test

_FETCH = {"header": "req.fhdr({})", "query": "urlp({}),url_dec"}


@dataclass(slots=True)
class Routing:
    """`maps` by what they are (hosts, wildcards, exact, prefix); `rules` are lines of a frontend."""

    maps: dict[str, bytes] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)


def routing(port: Port, place: str) -> Routing:
    """`place` is where the port's maps are: a directory and the beginning of their names."""
    made, chains = Routing(), _Chains()
    by_kind: dict[str, dict[tuple[str, str], list[Route]]] = {EXACT: {}, PREFIX: {}, REGEX: {}}
    for route in sorted(port.routes, key=lambda route: route.precedence):
        by_kind[route.kind].setdefault((route.host, route.path), []).append(route)
    names = sorted({route.host for route in port.routes} | port.hosts)
    made.maps["hosts"] = _map({name: name for name in names if not name.startswith("**.")})
    made.rules += _sites(names, made, place)
    made.rules += ["set-var(txn.path) path", "set-var(txn.where) var(txn.site),concat(,txn.path)"]
    exact = {host + path: chains.target(routes) for (host, path), routes in by_kind[EXACT].items()}
    made.maps["exact"] = _map(exact)
    made.rules += [f"set-var(txn.to) var(txn.where),map_str({place}exact.map)", *chains.taken()]
    for routes in by_kind[REGEX].values():
        for route in routes:
            tests = [
                "!{ var(txn.to) -m found }",
                _is("txn.site", route.host),
                f"{{ path -m reg {quoted(route.path)} }}",
            ]
            made.rules.append(f"set-var(txn.to) str({chains.shared(route.shares)}) if {_all(tests, route.tests)}")
    prefix = {host + path: chains.target(_with_shorter(host, path, by_kind[PREFIX])) for host, path in by_kind[PREFIX]}
    made.maps["prefix"] = _map(prefix)
    made.rules.append(
        f"set-var(txn.to) var(txn.where),concat(/),map_beg({place}prefix.map) if !{{ var(txn.to) -m found }}"
    )
    made.rules += [*chains.taken(), *chains.draws()]
    return made


def quoted(text: str) -> str:
    """One word of a configuration that means just this text."""
    return "'" + text.replace("'", "'\\''") + "'"


def _sites(names: Sequence[str], made: Routing, place: str) -> Iterator[str]:
    missing = "if !{ var(txn.site) -m found }"
    yield f"set-var(txn.site) var(txn.host),map_str({place}hosts.map)"
    yield f"set-var(txn.site) var(txn.host),regsub(^[^.]+,*),map_str({place}hosts.map) {missing}"
    deep = sorted((name for name in names if name.startswith("**.")), key=lambda name: (-len(name), name))
    if deep:  # the first that fits is taken
        made.maps["wildcards"] = "".join(f"{name[2:]} {name}\n" for name in deep).encode()
        yield f"set-var(txn.site) var(txn.host),map_end({place}wildcards.map) {missing}"
    yield f"set-var(txn.site) str({ANY_HOST}) {missing}"


def _with_shorter(host: str, path: str, routes: Mapping[tuple[str, str], list[Route]]) -> list[Route]:
    """The routes of a prefix, and of the shorter ones that are asked when those do not want a request."""
    found: list[Route] = []
    while True:
        found += routes.get((host, path), ())
        if path == "/" or (found and not found[-1].tests):
            return found
        path = path[: path[:-1].rindex("/") + 1]


class _Chains:
    """Names for what a map's one word cannot say."""

    def __init__(self) -> None:
        self._count = 0
        self._rules: list[str] = []
        self._shared: dict[tuple[Share, ...], str] = {}

    def target(self, routes: Iterable[Route]) -> str:
        """What a map says of these routes, asked in this order."""
        asked: list[Route] = []
        for route in routes:
            asked.append(route)
            if not route.tests:
                break
        if not asked[0].tests:
            return self.shared(asked[0].shares)
        name = f"?{self._count}"
        self._count += 1
        for route in asked:
            rule = f"set-var(txn.to) str({self.shared(route.shares)}) if {_all([_is('txn.to', name)], route.tests)}"
            self._rules.append(rule)
        return name

    def taken(self) -> Iterator[str]:
        """The rules of the chains since the last call; what no chain wanted is as if no map had led there."""
        rules, self._rules = self._rules, []
        yield from rules
        if rules:
            yield "unset-var(txn.to) if { var(txn.to) -m beg ? }"

    def shared(self, shares: tuple[Share, ...]) -> str:
        if len(shares) == 1:
            return shares[0].to
        return self._shared.setdefault(shares, f"={len(self._shared)}")

    def draws(self) -> Iterator[str]:
        for shares, name in self._shared.items():
            chosen, before = _is("txn.to", name), 0
            yield f"set-var(txn.draw) rand({sum(share.weight for share in shares)}) if {chosen}"
            for share in shares:
                before += share.weight
                yield f"set-var(txn.to) str({share.to}) if {chosen} {{ var(txn.draw) -m int lt {before} }}"


def _all(conditions: Iterable[str], tests: Iterable[Test]) -> str:
    return " ".join([*conditions, *map(_condition, tests)])


def _condition(test: Test) -> str:
    fetch = "method" if test.what == "method" else _FETCH[test.what].format(test.name)
    return f"{{ {quoted(fetch)} -m {'reg' if test.is_regex else 'str'} -- {quoted(test.value)} }}"


def _is(variable: str, value: str) -> str:
    return f"{{ var({variable}) -m str {value} }}"


def _map(pairs: Mapping[str, str]) -> bytes:
    return "".join(f"{key} {value}\n" for key, value in sorted(pairs.items())).encode()
