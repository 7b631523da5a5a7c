"""Since when the use of Secrets' tokens is noted, and what becomes of those that nobody uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.controllers.legacy_tokens import CONTROLLER, TRACKING
from pylet.server.reconcile.plan import NOTHING, Create, Delete, Patch, Plan

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = Plan(again_after=timedelta(days=1))
USED, INVALID = "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"
KEY = Key("a", "s")


def secret(created: str = "2024-01-01T00:00:00Z", **labels: str) -> Object:
    names = {"used": USED, "invalid": INVALID}
    meta = {
        "name": "s",
        "namespace": "a",
        "uid": "1",
        "creationTimestamp": created,
        "annotations": {"kubernetes.io/service-account.name": "bot"},
        "labels": {names[name]: value for name, value in labels.items()},
    }
    return {"metadata": meta, "type": "kubernetes.io/service-account-token", "data": {}}


def plan(key: Key, *secrets: Object, since: str | None = "2025-01-01", named: str = "s", mounted: str = "x") -> Plan:
    tables = {kind: Table(kind) for kind in (CONFIG_MAP, POD, SECRET, SERVICE_ACCOUNT)}
    if since is not None:
        meta = {"name": TRACKING.name, "namespace": TRACKING.namespace}
        tables[CONFIG_MAP].put(Entry.of(CONFIG_MAP, {"metadata": meta, "data": {"since": since}}))
    for each in secrets:
        tables[SECRET].put(Entry.of(SECRET, each))
    bot = {"metadata": {"name": "bot", "namespace": "a", "uid": "7"}, "secrets": [{"name": named}]}
    tables[SERVICE_ACCOUNT].put(Entry.of(SERVICE_ACCOUNT, bot))
    spec = {"containers": [], "volumes": [{"name": "v", "secret": {"secretName": mounted}}]}
    tables[POD].put(Entry.of(POD, {"metadata": {"name": "p", "namespace": "a"}, "spec": spec}))
    return CONTROLLER.plan(key, View(tables), NOW)


def test_the_day_is_kept_on_which_it_began() -> None:
    (made,) = plan(TRACKING, since=None).actions
    assert isinstance(made, Create)
    assert made.object["data"] == {"since": "2026-06-01"}
    (mended,) = plan(TRACKING, since="yesterday").actions
    assert isinstance(mended, Patch)
    assert mended.patch == {"data": {"since": "2026-06-01"}}
    assert plan(TRACKING) == NOTHING


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        pytest.param({}, {"since": None}, id="nobody noted who uses it"),
        pytest.param({}, {"since": "2025-06-01"}, id="nor for long enough"),
        pytest.param({"created": "2026-01-01T00:00:00Z"}, {}, id="it is not a year old"),
        pytest.param({"used": "2025-06-01"}, {}, id="it was used within the year"),
        pytest.param({"used": "never"}, {}, id="who knows when it was used"),
        pytest.param({}, {"named": "other"}, id="its account does not name it: somebody made it"),
        pytest.param({}, {"mounted": "s"}, id="a pod has it"),
        pytest.param({"invalid": "2025-06-01"}, {}, id="it has not been invalid for a year"),
    ],
)
def test_it_stays_and_is_looked_at_tomorrow(labels: dict[str, str], settings: dict[str, str]) -> None:
    assert plan(KEY, secret(**labels), **settings) == LATER


def test_it_is_marked_and_goes_a_year_later() -> None:
    (marked,) = plan(KEY, secret(used="2025-05-31")).actions
    assert isinstance(marked, Patch)
    assert marked.patch == {"metadata": {"uid": "1", "labels": {INVALID: "2026-06-01"}}}
    assert plan(KEY, secret(invalid="2025-05-31")).actions == (Delete(SECRET, KEY, "1"),)


def test_other_secrets_are_nobodys_concern() -> None:
    assert plan(KEY, {**secret(), "type": "Opaque"}) == plan(KEY) == NOTHING
