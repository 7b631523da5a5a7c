"""What is odd about a pod without being wrong: texts for the `Warning` header. Source: pkg/api/pod/warnings.go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from pylet.api import names, quantity
from pylet.api.causes import quoted
from pylet.api.containers import every, placed
from pylet.api.ip import address_warnings
from pylet.api.object import Object, dig
from pylet.api.podspec.notes import APP_ARMOR, CONTAINER_SECCOMP, SECCOMP
from pylet.api.podspec.security import annotated

LABELS: Final = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_ANNOTATIONS: Final = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES: Final = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_NO_POD: Final = "a null labelSelector results in matching no pod"
_RARE: Final = frozenset(
    (
        *("nodeSelector", "affinity", "topologySpreadConstraints"),
        *("hostAliases", "imagePullSecrets", "overhead", "dnsConfig"),
    )
)
_Place: TypeAlias = tuple[str, str]
"""A path in a volume, and where it comes from."""


def of(pod: Object, field: str = "") -> Iterator[str]:
    """Of a pod, or of the pod template that lies in `field`."""
    at = f"{field}." if field else ""
    spec, meta = pod.get("spec") or {}, pod.get("metadata") or {}
    notes = meta.get("annotations") or {}
    is_plain = _RARE.isdisjoint(spec)  # most pods are, and each of them is asked about
    if not is_plain:
        yield from _scheduling(spec, f"{at}spec")
    for key in _ANNOTATIONS.keys() & notes.keys() if notes else ():
        yield f"{at}metadata.annotations[{key}]: {_ANNOTATIONS[key]}"
    if volumes := spec.get("volumes"):
        yield from _volumes(volumes, f"{at}spec.volumes")
    if not is_plain:
        yield from _aliases(spec, f"{at}spec")
    if notes:
        yield from _seccomp(spec, notes, f"{at}metadata.annotations")
        if field:  # of a pod, the fields have what its annotations said
            yield from _app_armor(spec, notes, f"{at}metadata.annotations")
    yield from _containers(spec, f"{at}spec")
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        says = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{at}spec.terminationGracePeriodSeconds: {says}"
    if not is_plain:
        yield from _affinity(spec.get("affinity") or {}, f"{at}spec.affinity")
        for position, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
            yield from address_warnings(f"{at}spec.dnsConfig.nameservers[{position}]", server)
        for position, alias in enumerate(spec.get("hostAliases") or ()):
            yield from address_warnings(f"{at}spec.hostAliases[{position}].ip", alias.get("ip", ""))


def _aliases(spec: Object, at: str) -> Iterator[str]:
    yield from _twice(spec.get("hostAliases"), "ip", f"{at}.hostAliases")
    secrets = spec.get("imagePullSecrets") or ()
    yield from _twice(secrets, "name", f"{at}.imagePullSecrets")
    for position, secret in enumerate(secrets):
        if not secret.get("name"):
            yield f'{at}.imagePullSecrets[{position}].name: invalid empty name ""'
    yield from fractional(spec.get("overhead") or {}, f"{at}.overhead")


def fractional(
    amounts: Object, field: str, resources: Iterable[str] = ("memory", "ephemeral-storage")
) -> Iterator[str]:
    for name in resources:
        amount = amounts.get(name)
        if amount is not None and quantity.parse(amount).nanos % quantity.NANOS:
            yield f"{field}[{name}]: fractional byte value {quoted(amount)} is invalid, must be an integer"


def _scheduling(spec: Object, at: str) -> Iterator[str]:
    for key in LABELS.keys() & (spec.get("nodeSelector") or {}).keys():
        yield f"{at}.nodeSelector[{key}]: {LABELS[key]}"
    wanted = dig(spec, "affinity", "nodeAffinity") or {}
    required, preferred = (f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred"))
    for position, term in enumerate((wanted.get(required) or {}).get("nodeSelectorTerms") or ()):
        yield from node_term(term, f"{at}.affinity.nodeAffinity.{required}.nodeSelectorTerms[{position}]")
    for position, term in enumerate(wanted.get(preferred) or ()):
        where = f"{at}.affinity.nodeAffinity.{preferred}[{position}].preference"
        yield from node_term(term.get("preference") or {}, where, judges_values=True)
    for position, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        where, key = f"{at}.topologySpreadConstraints[{position}]", constraint.get("topologyKey", "")
        if key in LABELS:
            yield f"{where}.topologyKey: {key} is {LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{where}.labelSelector: {_NO_POD}"


def node_term(term: Object, where: str, *, judges_values: bool = False) -> Iterator[str]:
    for position, expression in enumerate(term.get("matchExpressions") or ()):
        at, key = f"{where}.matchExpressions[{position}]", expression.get("key", "")
        if key in LABELS:
            yield f"{at}.key: {key} is {LABELS[key]}"
        for number, value in enumerate(expression.get("values") or () if judges_values else ()):
            for problem in names.label_value(value):
                yield f"{at}.values[{number}]: {value} is invalid, {problem}"


def _affinity(affinity: Object, at: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        for how, inner in (("required", ""), ("preferred", "podAffinityTerm")):
            name = f"{how}DuringSchedulingIgnoredDuringExecution"
            for position, term in enumerate(terms.get(name) or ()):
                if (term.get(inner) or {} if inner else term).get("labelSelector") is None:
                    yield f"{at}.{kind}.{name}[{position}].{f'{inner}.' if inner else ''}labelSelector: {_NO_POD}"


def _twice(items: Iterable[Object] | None, name: str, at: str) -> Iterator[str]:
    seen: set[str] = set()
    for position, item in enumerate(items or ()):
        value = item.get(name, "")
        if value in seen:
            yield f"{at}[{position}].{name}: duplicate {name} {quoted(value)}"
        seen.add(value)


def _seccomp(spec: Object, notes: Object, at: str) -> Iterator[str]:
    says = 'non-functional in v1.27+; use the "seccompProfile" field instead'
    if SECCOMP in notes and dig(spec, "securityContext", "seccompProfile") is None:
        yield f"{at}[{SECCOMP}]: {says}"
    for container in every(spec):
        key = CONTAINER_SECCOMP + container.get("name", "")
        if key in notes and dig(container, "securityContext", "seccompProfile") is None:
            yield f"{at}[{key}]: {says}"


def _app_armor(spec: Object, notes: Object, at: str) -> Iterator[str]:
    pod_s = dig(spec, "securityContext", "appArmorProfile")
    for container in every(spec):
        key = APP_ARMOR + container.get("name", "")
        is_told = key not in notes or dig(container, "securityContext", "appArmorProfile") is not None
        if not is_told and (pod_s is None or annotated(notes[key]) != pod_s):
            yield f'{at}[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _containers(spec: Object, at: str) -> Iterator[str]:
    ports: list[tuple[str, Object]] = []
    for container, where in placed(spec, at):
        resources = container.get("resources") or {}
        for name in resources:
            if name != "claims":
                yield from fractional(resources[name], f"{where}.resources.{name}")
        if len(variables := container.get("env") or ()) > 1:
            yield from _variables(variables, f"{where}.env")
        for number, port in enumerate(container.get("ports") or ()):
            ports.append((f"{where}.ports[{number}]", port))
    if len(ports) > 1 or (ports and ports[0][1].get("hostIP")):
        yield from _ports(ports)


def _variables(variables: Iterable[Object], at: str) -> Iterator[str]:
    seen: set[str] = set()
    for position, variable in enumerate(variables):
        name, value = variable.get("name", ""), variable.get("value", "")
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") is not None or value == reference or reference not in value):
            says = f"hides previous definition of {quoted(name)}, which may be dropped when using apply"
            yield f"{at}[{position}]: {says}"
        seen.add(name)


def _ports(ports: list[tuple[str, Object]]) -> Iterator[str]:
    seen: dict[tuple[int, str], list[tuple[str, str, int]]] = {}
    for at, port in ports:
        ip, number = port.get("hostIP", ""), port.get("hostPort", 0)
        target, protocol = port.get("containerPort", 0), port.get("protocol", "")
        if ip and not number:
            shown = f"{{Name:{port.get('name', '')} HostPort:0 ContainerPort:{target} Protocol:{protocol} HostIP:{ip}}}"
            yield f"{at}: hostIP set without hostPort: {shown}"
        others = seen.setdefault((target, protocol), [])
        for other, its_ip, its_number in others:
            if (ip, number) == (its_ip, its_number):
                yield f"{at}: duplicate port definition with {other}"
            elif not number or not its_number:
                yield f"{at}: overlapping port definition with {other}"
            elif number == its_number and bool(ip) != bool(its_ip):
                yield f"{at}: dangerously ambiguous port definition with {other}"
        others.append((at, ip, number))
    named: dict[str, str] = {}
    for at, port in ports:
        if (name := port.get("name")) and (first := named.setdefault(name, at)) != at:
            use = f"services and probes that select ports by name will use {first}"
            yield f"{at}: duplicate port name {quoted(name)} with {first}, {use}"


def _volumes(volumes: Iterable[Object], at: str) -> Iterator[str]:
    paths: list[str] = []
    for position, volume in enumerate(volumes):
        for kind in volume:
            if kind in _VOLUMES:
                yield f"{at}[{position}].{'storageOS' if kind == 'storageos' else kind}: {_VOLUMES[kind]}"
        if "ephemeral" in volume:
            resources = dig(volume, "ephemeral", "volumeClaimTemplate", "spec", "resources") or {}
            where = f"{at}[{position}].ephemeral.volumeClaimTemplate.spec.resources"
            for name in ("requests", "limits"):
                yield from fractional(resources.get(name) or {}, f"{where}.{name}", ("storage",))
        paths += _overlapping(volume)
    yield from paths


def _overlapping(volume: Object) -> Iterator[str]:
    name = volume.get("name", "")
    for kind, title, named in _MAPPED:
        if kind in volume and (items := volume[kind].get("items")):
            what = f"{title} {quoted(volume[kind].get(named, ''))}" if named else title
            for overlap in _overlaps([(item.get("path", ""), "") for item in items]):
                yield f"volume {quoted(name)} ({what}): overlapping paths: {overlap}"
    if "projected" not in volume:
        return
    places: list[_Place] = []
    for source in volume["projected"].get("sources") or ():
        if not source:
            yield f"volume {quoted(name)} (Projected) has no sources provided"
        places += _projected(source)
    for overlap in _overlaps(places):
        yield f"volume {quoted(name)} (Projected): overlapping paths: {overlap}"


_MAPPED: Final = (
    ("configMap", "ConfigMap", "name"),
    ("secret", "Secret", "secretName"),
    ("downwardAPI", "DownwardAPI", ""),
)


def _projected(source: Object) -> Iterator[_Place]:
    for kind, title, named in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "name"), _MAPPED[2]):
        items = (source.get(kind) or {}).get("items")
        if items:
            what = f"{title} {quoted(source[kind].get(named, ''))}" if named else title
            yield from ((item.get("path", ""), what) for item in items)
            return
    if (token := source.get("serviceAccountToken")) is not None:
        yield token.get("path", ""), "ServiceAccountToken"
    elif (bundle := source.get("clusterTrustBundle")) is not None:
        yield bundle.get("path", ""), f"ClusterTrustBundle {quoted(bundle.get('name') or bundle.get('signerName', ''))}"
    elif (certificate := source.get("podCertificate")) is not None:
        for name, what in (
            ("certificateChainPath", "chain"),
            ("keyPath", "key"),
            ("credentialBundlePath", "credential bundle"),
        ):
            if path := certificate.get(name):
                yield path, f"PodCertificate {what}"


def _told(path: str, source: str) -> str:
    return quoted(path) + (f" ({source})" if source else "")


def _overlaps(places: list[_Place]) -> Iterator[str]:
    if len({path.partition("/")[0] for path, _ in places}) == len(places):
        return
    known: list[_Place] = []
    for given, what in places:
        place = (given.rstrip("/"), what)
        for other in known:
            mine, its = f"{place[0]}/", f"{other[0]}/"
            if place[0] and other[0] and (mine.startswith(its) or its.startswith(mine)):
                yield f"{_told(*place)} with {_told(*other)}"
        known.append(place)
