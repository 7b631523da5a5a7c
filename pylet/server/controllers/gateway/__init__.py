"""All that is said of the Gateway API in its statuses, by one controller; and to the nodes, that there are Gateways.

Everything is judged anew whenever something of it changes, under one key. What judges is loaded with the first Gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from pylet.api.ingress import GATEWAYS
from pylet.api.kind import Kind
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, annotations_of, is_true, key_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Create, Patch, Plan, Watch

NAME = "gateway"
"""What `--disable` calls it."""
_GROUP = "gateway.networking.k8s.io"
_PLURALS = ("gatewayclasses", "gateways", "httproutes", "referencegrants")
_UNTIL_SERVED = timedelta(seconds=0.2)
_ALL = Key("", NAME)


def controller() -> Controller:
    kinds: dict[str, Kind] = {}

    def custom(kind: Kind) -> Watch:
        if kind.group != _GROUP or kind.plural not in _PLURALS:
            return Watch(kind, lambda entry, view: ())
        kinds[kind.plural] = kind  # in the place of one that has gone, where its definition was changed
        return Watch(kind, lambda entry, view: (_ALL,))

    def around(entry: Entry, view: View) -> Iterable[Key]:
        """Others concern Gateways only where there are any."""
        return (_ALL,) if "gateways" in kinds and view.table(kinds["gateways"]).entries else ()

    def plan(key: Key, view: View, now: datetime) -> Plan:
        defined = [view.get(DEFINITION, Key("", f"{plural}.{_GROUP}")) for plural in _PLURALS]
        if not all(one is not None and is_true(one, "Established") for one in defined):
            return NOTHING
        if len(kinds) < len(_PLURALS):
            return Plan(again_after=_UNTIL_SERVED)
        from pylet.server.controllers.gateway import classes

        if view.get(kinds["gatewayclasses"], Key("", classes.NAME)) is None:
            return Plan((Create(kinds["gatewayclasses"], classes.own()),))
        actions = list(classes.statuses(kinds["gatewayclasses"], view, now))
        gateways = classes.ours(view.select(kinds["gateways"]), view.select(kinds["gatewayclasses"]))
        if gateways:
            from pylet.server.controllers.gateway.judge import Judge

            actions += Judge(kinds, view, now).statuses()
        return Plan((*_to_nodes(view, asked=bool(gateways)), *actions))

    around_them = (Watch(kind, around) for kind in (NODE, SERVICE, SECRET, NAMESPACE))
    return Controller(NAME, (Watch(DEFINITION, _of_group), *around_them), plan, custom)


def _of_group(entry: Entry, view: View) -> Iterable[Key]:
    return (_ALL,) if entry.key.name.partition(".")[2] == _GROUP else ()


def _to_nodes(view: View, *, asked: bool) -> Iterator[Action]:
    for node in view.select(NODE):
        if (annotations_of(node).get(GATEWAYS) == "true") != asked:
            yield Patch(NODE, key_of(node), {"metadata": {"annotations": {GATEWAYS: "true" if asked else None}}})
