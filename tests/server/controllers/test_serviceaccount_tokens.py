"""Secrets that hold a token: filled once, and gone with their account."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import serviceaccount_tokens
from pylet.server.reconcile.plan import NOTHING, Delete, Patch, Plan

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONTROLLER = serviceaccount_tokens.controller("CA", lambda account, secret: f"{account['metadata']['name']}-{secret}")


def secret(type_: str = serviceaccount_tokens.TYPE, data: Object | None = None, **annotations: str) -> Object:
    named = {f"kubernetes.io/service-account.{name}": value for name, value in annotations.items()}
    meta = {"name": "s", "namespace": "a", "uid": "1", "annotations": named}
    return {"metadata": meta, "type": type_, "data": data or {}}


def plan(obj: Object | None, *named: str) -> Plan:
    tables = {SECRET: Table(SECRET), SERVICE_ACCOUNT: Table(SERVICE_ACCOUNT)}
    if obj is not None:
        tables[SECRET].put(Entry.of(SECRET, obj))
    meta = {"name": "bot", "namespace": "a", "uid": "7", "resourceVersion": "3"}
    bot = {"metadata": meta, "secrets": [{"name": name} for name in named]}
    tables[SERVICE_ACCOUNT].put(Entry.of(SERVICE_ACCOUNT, bot))
    return CONTROLLER.plan(Key("a", "s"), View(tables), NOW)


def test_it_is_filled_once() -> None:
    (patch,) = plan(secret(name="bot")).actions
    assert isinstance(patch, Patch)
    assert base64.b64decode(patch.patch["data"]["token"]) == b"bot-s"
    assert set(patch.patch["data"]) == {"token", "namespace", "ca.crt"}
    assert plan(secret(name="bot", uid="7", data=patch.patch["data"])) == NOTHING


def test_another_namespace_in_it_stays() -> None:
    (patch,) = plan(secret(name="bot", data={"namespace": "b3RoZXI="})).actions
    assert isinstance(patch, Patch)
    assert set(patch.patch["data"]) == {"token", "ca.crt"}


@pytest.mark.parametrize(
    ("named", "left"), [(["s"], None), (["s", "t"], [{"name": "t"}]), (["t"], ...), ([], ...)], ids=str
)
def test_its_account_no_longer_names_one_that_is_gone(named: list[str], left: object) -> None:
    patches = [action.patch["secrets"] for action in plan(None, *named).actions if isinstance(action, Patch)]
    assert patches == ([] if left is ... else [left])


@pytest.mark.parametrize("annotations", [{"name": "nobody"}, {"name": "bot", "uid": "6"}], ids=["gone", "namesake"])
def test_it_is_deleted_without_its_account(annotations: dict[str, str]) -> None:
    assert plan(secret(**annotations)).actions == (Delete(SECRET, Key("a", "s"), "1"),)


def test_other_secrets_are_left_alone() -> None:
    assert plan(secret("Opaque", name="nobody")) == NOTHING
