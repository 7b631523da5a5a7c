"""What is wrong with an audit Policy. Source: apiserver pkg/apis/audit/validation, pkg/audit/policy/reader.go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pylet.api import causes, names
from pylet.api.configuration.decoding import BadConfiguration, configuration
from pylet.api.errors import Cause, aggregated
from pylet.api.object import Object

KIND, VERSION = "Policy", "audit.k8s.io/v1"
LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")


def read(raw: bytes) -> tuple[Object, str]:
    """A valid policy, and what in it is odd and passed over, "" for nothing. Raises: BadConfiguration."""
    try:
        policy, odd = configuration(raw, {KIND: (VERSION,)})
    except BadConfiguration as bad:
        raise BadConfiguration(f"failed decoding: {bad}") from bad
    if wrong := list(problems(policy)):
        raise BadConfiguration(aggregated(map(str, wrong)))
    if not policy.get("rules"):
        raise BadConfiguration("loaded illegal policy with 0 rules")
    return policy, odd


def problems(policy: Object) -> Iterator[Cause]:
    yield from _stages(policy.get("omitStages") or (), "omitStages")
    for at, rule in enumerate(policy.get("rules") or ()):
        yield from _rule(rule, f"rules[{at}]")


def _rule(rule: Object, where: str) -> Iterator[Cause]:
    level, urls = rule.get("level"), rule.get("nonResourceURLs") or []
    if not level:
        yield causes.required(f"{where}.level")
    elif level not in LEVELS:
        yield causes.not_supported(f"{where}.level", level, LEVELS)
    field = f"{where}.nonResourceURLs"
    for at, url in enumerate(urls):
        if url != "*" and not url.startswith("/"):
            yield causes.invalid(f"{field}[{at}]", url, "non-resource URL rules must begin with a '/' character")
        if "*" in url[:-1]:
            why = "non-resource URL wildcards '*' must be the final character of the rule"
            yield causes.invalid(f"{field}[{at}]", url, why)
    for group in rule.get("resources") or ():
        yield from _resources(group, f"{where}.resources")
    yield from _stages(rule.get("omitStages") or (), f"{where}.omitStages")
    if urls and (rule.get("resources") or rule.get("namespaces")):
        yield causes.invalid(field, urls, "rules cannot apply to both regular resources and non-resource URLs")


def _resources(group: Object, where: str) -> Iterator[Cause]:
    name = group.get("group") or ""
    if name not in ("", "*") and (wrong := names.dns_subdomain(name)):
        yield causes.invalid(f"{where}.group", name, ",".join(wrong))
    if (of := group.get("resourceNames")) and not group.get("resources"):
        yield causes.invalid(f"{where}.resourceNames", of, "using resourceNames requires at least one resource")


def _stages(stages: Sequence[str], field: str) -> Iterator[Cause]:
    for at, stage in enumerate(stages):
        if stage not in STAGES:
            yield causes.invalid(f"{field}[{at}]", stage, f"allowed stages are {','.join(STAGES)}")
