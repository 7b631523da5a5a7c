"""What an AdmissionConfiguration says of plugins, and what is wrong with it.

Source: apiserver pkg/admission/config.go, pkg/admission/plugin/{resourcequota,webhook/config,policy/config},
pod-security-admission admission/api.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pylet.api import causes, names
from pylet.api.configuration.decoding import BadConfiguration, strictly
from pylet.api.errors import Cause, aggregated
from pylet.api.object import Object
from pylet.api.podsecurity.policy import LEVELS, MODES, NO_LEVEL, NO_VERSION, PRIVILEGED, Limit, Policy, minor_of

Kinds: TypeAlias = Mapping[str, tuple[str, ...]]

_V1 = ("apiserver.config.k8s.io/v1",)
_FILE: Kinds = {"AdmissionConfiguration": (*_V1, "apiserver.k8s.io/v1alpha1")}
_POD_SECURITY: Kinds = {
    "PodSecurityConfiguration": tuple(
        f"pod-security.admission.config.k8s.io/{v}" for v in ("v1", "v1beta1", "v1alpha1")
    )
}
_QUOTA: Kinds = {
    "ResourceQuotaConfiguration": _V1,
    "Configuration": ("resourcequota.admission.k8s.io/v1beta1", "resourcequota.admission.k8s.io/v1alpha1"),
}
_STATIC = "staticManifestsDir requires the ManifestBasedAdmissionControlConfig feature gate to be enabled"


class Unsound(BadConfiguration):
    """Why nothing can be made of a configuration that was understood."""


@dataclass(frozen=True, slots=True)
class PodSecurity:
    """What holds where labels say nothing, and who is exempt of all."""

    default: Policy = PRIVILEGED
    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


def plugins(raw: bytes) -> dict[str, Object]:
    """The entry of each plugin; of several the first holds. Raises: BadConfiguration."""
    found: dict[str, Object] = {}
    for entry in strictly(raw, _FILE).get("plugins") or ():
        found.setdefault(entry.get("name") or "", entry)
    return found


def pod_security(raw: bytes) -> PodSecurity:
    """Raises: BadConfiguration, Unsound."""
    config = strictly(raw, _POD_SECURITY) if raw else {}
    defaults, exempt = config.get("defaults") or {}, config.get("exemptions") or {}
    limits: dict[str, Limit] = {}
    wrong: list[str] = []
    for mode in MODES:
        level, minor = defaults.get(mode) or "privileged", minor_of(defaults.get(f"{mode}-version") or "latest")
        if level not in LEVELS:
            wrong.append(f"{mode}: {NO_LEVEL}")
        if minor is None:
            wrong.append(f"{mode}-version: {NO_VERSION}")
        else:
            limits[mode] = Limit(level, minor)
    if wrong:
        raise Unsound(f"PodSecurity configuration error: {aggregated(wrong)}")
    if odd := [str(cause) for cause in _exemptions(exempt)]:
        raise Unsound(f"PodSecurity invalid: {aggregated(odd)}")
    exempted = (frozenset(exempt.get(what) or ()) for what in ("usernames", "namespaces", "runtimeClasses"))
    default = Policy(limits["enforce"], limits["audit"], limits["warn"])
    return PodSecurity(default, *exempted)


def limited_resources(raw: bytes) -> Sequence[Object]:
    """What may be used only where a quota covers it. Raises: BadConfiguration."""
    found: list[Object] = strictly(raw, _QUOTA).get("limitedResources") or []
    lacking = [at for at, one in enumerate(found) if not one.get("resource")]
    if lacking:
        wrong = (str(causes.required(f"limitedResources[{at}].resource")) for at in lacking)
        raise BadConfiguration(aggregated(wrong))
    return found


def webhooks(raw: bytes) -> str:
    """The kubeconfig that says who the server is to whom, "" for none. Raises: BadConfiguration."""
    config = strictly(raw, {"WebhookAdmissionConfiguration": _V1})
    file: str = config.get("kubeConfigFile") or ""
    if file and not file.startswith("/"):
        raise BadConfiguration(str(causes.invalid("kubeConfigFile", file, "must be an absolute file path")))
    _check_static(config)
    return file


def policies(raw: bytes, kind: str) -> None:
    """Has nothing to say by default. Raises: BadConfiguration."""
    _check_static(strictly(raw, {kind: _V1}))


def _check_static(config: Object) -> None:
    if config.get("staticManifestsDir"):
        raise BadConfiguration(str(causes.forbidden("staticManifestsDir", _STATIC)))


def _exemptions(exempt: Object) -> Iterator[Cause]:
    yield from _unlike(exempt, "namespaces", names.dns_label)
    yield from _unlike(exempt, "runtimeClasses", names.dns_subdomain)
    yield from _unlike(exempt, "usernames", lambda name: [] if name else ["username must not be empty"])


def _unlike(exempt: Object, what: str, problems: Callable[[str], Sequence[str]]) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, name in enumerate(exempt.get(what) or ()):
        field = f"exemptions.{what}[{at}]"
        if wrong := problems(name):
            yield causes.invalid(field, name, ", ".join(wrong))
        elif name in seen:
            yield causes.duplicate(field, name)
        seen.add(name)
