"""Tokens that never expire, of accounts that name their Secrets: since when their use is noted is kept in a ConfigMap,
one that nobody has used for a year is marked as invalid, and goes a year later.

Sources: upstream `pkg/controlplane/controller/legacytokentracking`,
`pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pylet.api import timestamps
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object, annotations_of, is_terminating, labels_of, uid_of
from pylet.api.podspec import apireferences
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Controller, Create, Delete, Patch, Plan, Watch

TRACKING = Key("kube-system", "kube-apiserver-legacy-service-account-token-tracking")
_SINCE = "since"
_TYPE = "kubernetes.io/service-account-token"
_NAME, _UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
_LAST_USED, _INVALID_SINCE = "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"
_UNUSED = timedelta(days=365)
_DAY = timedelta(days=1)
_TYPE_FIELD = list(SECRET.fields).index("type")


def plan(key: Key, view: View, now: datetime) -> Plan:
    if key == TRACKING:
        return _track(view, now)
    secret = view.get(SECRET, key)
    if secret is None or secret.get("type") != _TYPE or is_terminating(secret):
        return NOTHING
    return _clean(key, secret, view, now)


def _track(view: View, now: datetime) -> Plan:
    found, data = view.get(CONFIG_MAP, TRACKING), {_SINCE: f"{now:%Y-%m-%d}"}
    if found is None:
        meta = {"name": TRACKING.name, "namespace": TRACKING.namespace}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
        return Plan((Create(CONFIG_MAP, made),))
    if _date((found.get("data") or {}).get(_SINCE)) is None:
        return Plan((Patch(CONFIG_MAP, TRACKING, {"data": data}),))
    return NOTHING


def _clean(key: Key, secret: Object, view: View, now: datetime) -> Plan:
    tracked = _date(((view.get(CONFIG_MAP, TRACKING) or {}).get("data") or {}).get(_SINCE))
    later, kept = Plan(again_after=_DAY), (now - _UNUSED).date()
    if tracked is None or now < tracked + _DAY + _UNUSED:
        return later
    if timestamps.parse(secret["metadata"]["creationTimestamp"]) >= now - _UNUSED:
        return later
    labels = labels_of(secret)
    used = _date(labels.get(_LAST_USED))
    if _LAST_USED in labels and (used is None or used.date() >= kept):
        return later
    if not _is_generated(key, secret, view) or _is_mounted(key, view):
        return later
    invalid = _date(labels.get(_INVALID_SINCE))
    if invalid is None:
        marked = {"metadata": {"uid": uid_of(secret), "labels": {_INVALID_SINCE: f"{now:%Y-%m-%d}"}}}
        return Plan((Patch(SECRET, key, marked),), _DAY)
    return later if invalid.date() >= kept else Plan((Delete(SECRET, key, uid_of(secret)),))


def _is_generated(key: Key, secret: Object, view: View) -> bool:
    """Whether an account that it is for names it, as it does those that were made for it."""
    annotations = annotations_of(secret)
    account = view.get(SERVICE_ACCOUNT, Key(key.namespace, annotations.get(_NAME) or ""))
    if account is None or annotations.get(_UID, uid_of(account)) not in ("", uid_of(account)):
        return False
    return any(each.get("name") == key.name for each in account.get("secrets") or ())


def _is_mounted(key: Key, view: View) -> bool:
    pods = view.table(POD).in_namespace(key.namespace).values()
    return any(key.name in apireferences.secrets(pod.object["spec"]) for pod in pods)


def _date(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _tokens(entry: Entry, view: View) -> Iterable[Key]:
    if entry.fields[_TYPE_FIELD] == _TYPE:
        yield entry.key


def _tracking(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key in (TRACKING, Key("", TRACKING.namespace)):
        yield TRACKING


CONTROLLER = Controller(
    "legacy-serviceaccount-token-cleaner-controller",
    (Watch(SECRET, _tokens), Watch(CONFIG_MAP, _tracking), Watch(NAMESPACE, _tracking)),
    plan,
)
