"""Secrets of type service-account-token: filled with a token of their account, deleted with it, no longer named by it
when they go.

Source: upstream `pkg/controller/serviceaccount/tokens_controller.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object, annotations_of, is_terminating, uid_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Delete, Patch, Plan, Watch, itself

TYPE = "kubernetes.io/service-account-token"
_NAME, _UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
_TYPE_FIELD = list(SECRET.fields).index("type")


def controller(ca_pem: str, mint: Callable[[Object, str], str]) -> Controller:
    """`mint` makes the token of an account for the Secret of that name."""
    ca = base64.b64encode(ca_pem.encode()).decode()

    def plan(key: Key, view: View, now: datetime) -> Plan:
        secret = view.get(SECRET, key)
        if secret is None:
            return Plan(tuple(_unname(key, view)))
        if secret.get("type") != TYPE or is_terminating(secret):
            return NOTHING
        annotations = annotations_of(secret)
        account = view.get(SERVICE_ACCOUNT, Key(key.namespace, annotations.get(_NAME) or ""))
        if account is None or annotations.get(_UID, uid_of(account)) not in ("", uid_of(account)):
            return Plan((Delete(SECRET, key, uid_of(secret)),))
        data, wanted = secret.get("data") or {}, {}
        if data.get("ca.crt") != ca:
            wanted["ca.crt"] = ca
        if not data.get("namespace"):
            wanted["namespace"] = base64.b64encode(key.namespace.encode()).decode()
        if not data.get("token"):
            wanted["token"] = base64.b64encode(mint(account, key.name).encode()).decode()
        if not wanted:
            return NOTHING
        patch = {"metadata": {"annotations": {_UID: uid_of(account)}}, "data": wanted}
        return Plan((Patch(SECRET, key, patch),))

    return Controller("tokens-controller", (Watch(SECRET, _tokens), Watch(SERVICE_ACCOUNT, _of_account)), plan)


def _unname(secret: Key, view: View) -> Iterator[Action]:
    quoted = f'"{secret.name}"'.encode()
    for key, entry in view.table(SERVICE_ACCOUNT).in_namespace(secret.namespace).items():
        named = (entry.object.get("secrets") or ()) if quoted in entry.raw else ()
        kept = [each for each in named if each.get("name") != secret.name]
        if len(kept) < len(named):
            meta = {"uid": entry.uid, "resourceVersion": entry.object["metadata"]["resourceVersion"]}
            yield Patch(SERVICE_ACCOUNT, key, {"metadata": meta, "secrets": kept or None})


def _tokens(entry: Entry, view: View) -> Iterable[Key]:
    if entry.fields[_TYPE_FIELD] == TYPE:
        yield from itself(entry, view)


def _of_account(entry: Entry, view: View) -> Iterable[Key]:
    for secret in view.with_field(SECRET, "type", TYPE):
        meta = secret["metadata"]
        if meta["namespace"] == entry.key.namespace and annotations_of(secret).get(_NAME) == entry.key.name:
            yield Key(meta["namespace"], meta["name"])
