"""What is wrong with an AuthorizationConfiguration, and what it leaves out.

Source: apiserver pkg/apis/apiserver/{validation/validation,v1/defaults}.go, pkg/kubeapiserver/authorizer/config.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from pylet.api import causes, goduration, names
from pylet.api.configuration.decoding import duration
from pylet.api.errors import Cause
from pylet.api.object import Object

KIND = "AuthorizationConfiguration"
VERSIONS = tuple(f"apiserver.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
WEBHOOK = "Webhook"
TYPES = ("AlwaysAllow", "AlwaysDeny", "Node", "RBAC", WEBHOOK)
_REVIEWS, _POLICIES = ("v1", "v1beta1"), ("NoOpinion", "Deny")
_IN_CLUSTER, _KUBECONFIG = "InClusterConfig", "KubeConfigFile"
_MOST_CONDITIONS = 64
_LONGEST = timedelta(seconds=30)
_DEFAULTS = {"authorizedTTL": "5m0s", "unauthorizedTTL": "30s"}


def set_defaults(config: Object) -> None:
    for webhook in (one.get("webhook") for one in config.get("authorizers") or ()):
        if webhook is not None:
            webhook |= {name: text for name, text in _DEFAULTS.items() if not duration(webhook, name)}


def problems(config: Object, unreadable: Callable[[str], str]) -> Iterator[Cause]:
    """`unreadable` says of a path why it is no file to read, "" where it is one."""
    authorizers = config.get("authorizers") or ()
    if not authorizers:
        yield causes.required("authorizers", "at least one authorization mode must be defined")
    types: set[str] = set()
    called: set[str] = set()
    for at, one in enumerate(authorizers):
        where, type_, name = f"authorizers[{at}]", one.get("type") or "", one.get("name") or ""
        if not type_:
            yield causes.required(f"{where}.type")
        elif type_ not in TYPES:
            yield causes.not_supported(f"{where}.type", type_, TYPES)
        elif type_ in types and type_ != WEBHOOK:
            yield causes.duplicate(f"{where}.type", type_)
        else:
            types.add(type_)
            yield from _name(name, called, f"{where}.name")
            called.add(name)
            yield from _webhook(type_, one.get("webhook"), where, unreadable)


def misnamed(config: Object) -> list[str]:
    """What is told of authorizers that are not called as they have to be, once nothing else is wrong."""
    others = [one for one in config["authorizers"] if one["type"] != WEBHOOK]
    return [
        f"expected name {one['type'].lower()} for authorizer {one['type']} instead of {one['name']}"
        for one in others
        if one["name"] != one["type"].lower()
    ]


def _name(name: str, called: set[str], where: str) -> Iterator[Cause]:
    if not name:
        yield causes.required(where)
    elif name in called:
        yield causes.duplicate(where, name)
    elif wrong := names.dns_subdomain(name):
        yield causes.invalid(where, name, f"authorizer name is invalid: {', '.join(wrong)}")


def _webhook(type_: str, webhook: Object | None, where: str, unreadable: Callable[[str], str]) -> Iterator[Cause]:
    if type_ != WEBHOOK:
        if webhook is not None:
            yield causes.invalid(f"{where}.webhook", "non-null", "may only be specified when type=Webhook")
        return
    if webhook is None:
        yield causes.required(f"{where}.webhook", "required when type=Webhook")
        return
    yield from _durations(webhook, where)
    yield from _one_of(webhook, "subjectAccessReviewVersion", where, _REVIEWS)
    conditions = webhook.get("matchConditions") or ()
    version = "matchConditionSubjectAccessReviewVersion"
    if webhook.get(version):
        yield from _one_of(webhook, version, where, _REVIEWS[:1])
    elif conditions:
        yield causes.required(f"{where}.{version}", "required if match conditions are specified")
    yield from _one_of(webhook, "failurePolicy", where, _POLICIES)
    yield from _connection(webhook.get("connectionInfo") or {}, f"{where}.connectionInfo", unreadable)
    yield from _conditions(conditions, f"{where}.matchConditions")


def _durations(webhook: Object, where: str) -> Iterator[Cause]:
    for name in ("timeout", "authorizedTTL", "unauthorizedTTL"):
        given, bound = duration(webhook, name), " and <= 30s" if name == "timeout" else ""
        if not given:
            yield causes.required(f"{where}.{name}")
        elif given < timedelta() or (bound and given > _LONGEST):
            yield causes.invalid(f"{where}.{name}", goduration.shown(given), f"must be > 0s{bound}")


def _one_of(webhook: Object, name: str, where: str, known: tuple[str, ...]) -> Iterator[Cause]:
    if not (given := webhook.get(name)):
        yield causes.required(f"{where}.{name}")
    elif given not in known:
        yield causes.not_supported(f"{where}.{name}", given, known)


def _connection(info: Object, where: str, unreadable: Callable[[str], str]) -> Iterator[Cause]:
    type_, file, field = info.get("type") or "", info.get("kubeConfigFile"), f"{where}.kubeConfigFile"
    if not type_:
        yield causes.required(f"{where}.type")
    elif type_ == _IN_CLUSTER:
        if file is not None:
            yield causes.invalid(field, file, "can only be set when type=KubeConfigFile")
    elif type_ != _KUBECONFIG:
        shown = causes.Struct(Type=type_, KubeConfigFile=file)
        yield causes.not_supported(f"{where}.type", shown, (_IN_CLUSTER, _KUBECONFIG))
    elif not file:
        yield causes.required(field)
    elif not file.startswith("/"):
        yield causes.invalid(field, file, "must be an absolute path")
    elif why := unreadable(file):
        yield causes.invalid(field, file, why)


def _conditions(conditions: Sequence[Object], where: str) -> Iterator[Cause]:
    if len(conditions) > _MOST_CONDITIONS:
        yield causes.too_many(where, len(conditions), _MOST_CONDITIONS)
        return
    seen: set[str] = set()
    for at, condition in enumerate(conditions):
        field, expression = f"{where}[{at}].expression", condition.get("expression") or ""
        if not expression.strip():
            yield causes.required(field)
        elif expression in seen:
            yield causes.duplicate(field, expression)
        else:
            seen.add(expression)
            yield from _uncompiled(expression, field)


def _uncompiled(expression: str, field: str) -> Iterator[Cause]:
    from pylet.api.cel.access import compile_condition
    from pylet.api.cel.environment import Unfit

    try:
        compile_condition(expression)
    except Unfit as unfit:
        yield causes.invalid(field, expression, str(unfit))
