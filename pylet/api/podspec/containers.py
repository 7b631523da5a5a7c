"""What containers must look like: names, images, ports, environment, mounts, probes, resources."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.quantity import parse as parse_quantity

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_RESOURCE_FIELDS = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_NATIVE = ("cpu", "memory", "ephemeral-storage", "storage")
_MOST_ID = 2**31 - 1
_ABSENT = "must be greater than or equal to 0"
_SIDECARS_ONLY = "may not be set for init containers without restartPolicy=Always"


def validate_all(spec: Object, volumes: Collection[str], field: str) -> list[Cause]:
    """`volumes` are the names of the pod's valid volumes."""
    found = _on_host_network(spec, field) if spec.get("hostNetwork") else []
    regular = spec.get("containers") or ()
    if not regular:
        found.append(causes.required(f"{field}.containers"))
    taken: set[str] = set()
    host_ports: set[tuple[str, str, int]] = set()
    for position, container in enumerate(regular):
        where = f"{field}.containers[{position}]"
        found += _container(container, volumes, where)
        found += _name_taken(container, taken, where)
        found += _lifecycle(container, where)
        found += _host_ports(container, host_ports, f"{field}.containers[{position}]")
    for position, container in enumerate(spec.get("initContainers") or ()):
        where = f"{field}.initContainers[{position}]"
        found += _container(container, volumes, where)
        found += _name_taken(container, taken, where)
        found += _host_ports(container, set(), where)
        if container.get("restartPolicy") == "Always":
            found += _lifecycle(container, where)
        else:
            unfit = [name for name in ("lifecycle", *_PROBES) if name in container]
            found += [causes.forbidden(f"{where}.{name}", _SIDECARS_ONLY) for name in unfit]
    for position, container in enumerate(spec.get("ephemeralContainers") or ()):
        where = f"{field}.ephemeralContainers[{position}]"
        found += _container(container, volumes, where)
        found += _name_taken(container, taken, where)
    return found


def _name_taken(container: Object, taken: set[str], where: str) -> list[Cause]:
    name = container.get("name", "")
    if name in taken:
        return [causes.duplicate(f"{where}.name", name)]
    taken.add(name)
    return []


def _container(container: Object, volumes: Collection[str], where: str) -> list[Cause]:
    found: list[Cause] = []
    name = container.get("name")
    if not name:
        found.append(causes.required(f"{where}.name"))
    elif problems := names.dns_label(name):
        found += causes.each(f"{where}.name", name, problems)
    image = container.get("image")
    if not image:
        found.append(causes.required(f"{where}.image"))
    elif image != image.strip():
        found.append(causes.invalid(f"{where}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy")
    if policy not in _MESSAGE_POLICIES:
        found.append(causes.not_supported(f"{where}.terminationMessagePolicy", policy or "", _MESSAGE_POLICIES))
    policy = container.get("imagePullPolicy")
    if policy not in _PULL_POLICIES:
        found.append(causes.not_supported(f"{where}.imagePullPolicy", policy or "", _PULL_POLICIES))
    if ports := container.get("ports"):
        found += _ports(ports, f"{where}.ports")
    if env := container.get("env"):
        found += _env(env, f"{where}.env")
    if env_from := container.get("envFrom"):
        found += _env_from(env_from, f"{where}.envFrom")
    if mounts := container.get("volumeMounts"):
        found += _mounts(mounts, volumes, f"{where}.volumeMounts")
    if resources := container.get("resources"):
        found += validate_resources(resources, f"{where}.resources")
    if context := container.get("securityContext"):
        found += validate_ids(context, f"{where}.securityContext")
        if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
            says = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(causes.invalid(f"{where}.securityContext", context, says))
    return found


def _ports(ports: Iterable[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    taken = set()
    for position, port in enumerate(ports):
        where = f"{field}[{position}]"
        name, number, host = port.get("name"), port.get("containerPort", 0), port.get("hostPort", 0)
        if name:
            if problems := names.port_name(name):
                found += causes.each(f"{where}.name", name, problems)
            elif name in taken:
                found.append(causes.duplicate(f"{where}.name", name))
            taken.add(name)
        if not number:
            found.append(causes.required(f"{where}.containerPort"))
        else:
            found += causes.each(f"{where}.containerPort", number, names.port_number(number))
        if host:
            found += causes.each(f"{where}.hostPort", host, names.port_number(host))
        if port.get("protocol") not in _PROTOCOLS:
            found.append(causes.not_supported(f"{where}.protocol", port.get("protocol", ""), _PROTOCOLS))
    return found


def _host_ports(container: Object, taken: set[tuple[str, str, int]], where: str) -> list[Cause]:
    found: list[Cause] = []
    for position, port in enumerate(container.get("ports") or ()):
        number = port.get("hostPort", 0)
        if number:
            protocol, ip = port.get("protocol", ""), port.get("hostIP", "")
            if (protocol, ip, number) in taken:
                shown = f"{protocol}/{ip}/{number}"
                found.append(causes.duplicate(f"{where}.ports[{position}].hostPort", shown))
            taken.add((protocol, ip, number))
    return found


def _on_host_network(spec: Object, field: str) -> list[Cause]:
    """There a container's port is the host's; templates may leave the latter out."""
    found: list[Cause] = []
    says = "must match `containerPort` when `hostNetwork` is true"
    for position, container in enumerate(spec.get("containers") or ()):
        for index, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort", 0)
            if host and host != port.get("containerPort", 0):
                where = f"{field}.containers[{position}].ports[{index}].hostPort"
                found.append(causes.invalid(where, host, says))
    return found


def _env(env: Iterable[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    for position, variable in enumerate(env):
        name = variable.get("name")
        if not name:
            found.append(causes.required(f"{field}[{position}].name"))
        elif problems := names.env_var_name(name):
            found += causes.each(f"{field}[{position}].name", name, problems)
        source = variable.get("valueFrom")
        if source is not None:
            found += _env_source(variable, source, f"{field}[{position}].valueFrom")
    return found


def _env_source(variable: Object, source: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    kinds = [kind for kind in _ENV_SOURCES if kind in source]
    if "fieldRef" in source:
        found += validate_field_ref(source["fieldRef"], f"{field}.fieldRef", _ENV_FIELDS)
    if "resourceFieldRef" in source:
        resource = source["resourceFieldRef"].get("resource", "")
        where = f"{field}.resourceFieldRef"
        if not resource:
            found.append(causes.required(f"{where}.resource"))
        elif resource not in _RESOURCE_FIELDS and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
            found.append(causes.not_supported(f"{where}.resource", resource, _RESOURCE_FIELDS))
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            where, reference = f"{field}.{kind}", source[kind]
            if not reference.get("name"):
                found.append(causes.required(f"{where}.name"))
            if not reference.get("key"):
                found.append(causes.required(f"{where}.key"))
            else:
                found += causes.each(f"{where}.key", reference["key"], names.config_key(reference["key"]))
    if not kinds:
        says = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        found.append(causes.invalid(field, "", says))
    elif variable.get("value"):
        found.append(causes.invalid(field, "", "may not be specified when `value` is not empty"))
    elif len(kinds) > 1:
        found.append(causes.invalid(field, "", "may not have more than one field specified at a time"))
    return found


def validate_field_ref(reference: Object, field: str, supported: Collection[str]) -> list[Cause]:
    """A downward API reference; `metadata.labels['key']` and annotations besides those supported as they are."""
    path = reference.get("fieldPath", "")
    if path in supported:
        return []
    if not path:
        return [causes.required(f"{field}.fieldPath")]
    name, bracket, key = path.partition("['")
    if bracket and key.endswith("']"):
        key = key[:-2]
        if name == "metadata.annotations":
            return causes.each(field, key.lower(), names.qualified_name(key.lower()))
        if name == "metadata.labels":
            return causes.each(field, key, names.qualified_name(key))
        return [
            causes.invalid(
                f"{field}.fieldPath",
                path,
                f"error converting fieldPath: field label does not support subscript: {path}",
            )
        ]
    known = (*_ENV_FIELDS, "metadata.annotations", "metadata.labels")
    if path not in known:
        return [
            causes.invalid(f"{field}.fieldPath", path, f"error converting fieldPath: field label not supported: {path}")
        ]
    return [causes.not_supported(f"{field}.fieldPath", path, sorted(supported))]


def _env_from(sources: Iterable[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    for position, source in enumerate(sources):
        where = f"{field}[{position}]"
        if prefix := source.get("prefix"):
            found += causes.each(f"{where}.prefix", prefix, names.env_var_name(prefix))
        kinds = [kind for kind in ("configMapRef", "secretRef") if kind in source]
        found += [causes.required(f"{where}.{kind}.name") for kind in kinds if not source[kind].get("name")]
        if not kinds:
            found.append(causes.invalid(where, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(kinds) > 1:
            found.append(causes.invalid(where, "", "may not have more than one field specified at a time"))
    return found


def _mounts(mounts: Iterable[Object], volumes: Collection[str], field: str) -> list[Cause]:
    found: list[Cause] = []
    taken = set()
    for position, mount in enumerate(mounts):
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            found.append(causes.required(f"{field}[{position}].name"))
        if name not in volumes:
            found.append(causes.not_found(f"{field}[{position}].name", name))
        if not path:
            found.append(causes.required(f"{field}[{position}].mountPath"))
        if path in taken:
            found.append(causes.invalid(f"{field}[{position}].mountPath", path, "must be unique"))
        taken.add(path)
        if sub := mount.get("subPath"):
            found += validate_descending(sub, f"{field}.subPath")
        if expression := mount.get("subPathExpr"):
            if sub:
                says = "subPathExpr and subPath are mutually exclusive"
                found.append(causes.invalid(f"{field}[{position}].subPathExpr", expression, says))
            found += validate_descending(expression, f"{field}.subPathExpr")
    return found


def validate_descending(path: str, field: str) -> list[Cause]:
    """A path below something: relative, and never upwards."""
    if path.startswith("/"):
        return [causes.invalid(field, path, "must be a relative path")]
    return [causes.invalid(field, path, "must not contain '..'")] if ".." in path.split("/") else []


def _lifecycle(container: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    for hook, handler in (container.get("lifecycle") or {}).items():
        if hook in ("postStart", "preStop"):
            found += _handler(handler, _HOOK_HANDLERS, f"{where}.lifecycle.{hook}")
    for name in _PROBES:
        if name in container:
            found += _probe(name, container[name], f"{where}.{name}")
    return found


def _probe(name: str, probe: Object, where: str) -> list[Cause]:
    found = _handler(probe, _PROBE_HANDLERS, where)
    found += [causes.invalid(f"{where}.{field}", probe[field], _ABSENT) for field in _COUNTS if probe.get(field, 0) < 0]
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        found.append(causes.invalid(f"{where}.successThreshold", probe["successThreshold"], "must be 1"))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None:
        if name == "readinessProbe":
            says = "must not be set for readinessProbes"
            found.append(causes.invalid(f"{where}.terminationGracePeriodSeconds", grace, says))
        elif grace <= 0:
            found.append(causes.invalid(f"{where}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return found


def _handler(handler: Object, kinds: tuple[str, ...], where: str) -> list[Cause]:
    found: list[Cause] = []
    given = [kind for kind in kinds if kind in handler]
    if not given:
        return [causes.required(where, "must specify a handler type")]
    for kind in given[1:]:
        found.append(causes.forbidden(f"{where}.{kind}", "may not specify more than 1 handler type"))
    first, action = given[0], handler[given[0]]
    match first:
        case "exec":
            if not action.get("command"):
                found.append(causes.required(f"{where}.exec.command"))
        case "httpGet":
            if action.get("scheme") not in ("HTTP", "HTTPS"):
                found.append(
                    causes.not_supported(f"{where}.httpGet.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
                )
            for header in action.get("httpHeaders") or ():
                name = header.get("name", "")
                found += causes.each(f"{where}.httpGet.httpHeaders", name, names.http_header_name(name))
            found += validate_port(action.get("port", 0), f"{where}.httpGet.port")
        case "tcpSocket":
            found += validate_port(action.get("port", 0), f"{where}.tcpSocket.port")
        case "grpc":
            found += validate_port(action.get("port", 0), f"{where}.grpc.port")
    return found


def validate_port(port: Any, field: str) -> list[Cause]:
    """A port's number, or the name of one."""
    problems = names.port_name(port) if isinstance(port, str) else names.port_number(port)
    return causes.each(field, port, problems)


def validate_resources(resources: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            where = f"{field}.{kind}"
            if name not in _NATIVE:
                found += causes.each(where, name, _resource_name_problems(name))
            if amount[:1] == "-":
                found.append(causes.invalid(f"{where}[{name}]", amount, _ABSENT))
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is None or limit == amount:
            if limit is None and not _overcommits(name):
                found.append(causes.required(f"{field}.limits", "Limit must be set for non overcommitable resources"))
        elif not _overcommits(name):
            says = f"must be equal to {name} limit of {limit}"
            found.append(causes.invalid(f"{field}.requests", amount, says))
        elif parse_quantity(amount).nanos > parse_quantity(limit).nanos:
            says = f"must be less than or equal to {name} limit of {limit}"
            found.append(causes.invalid(f"{field}.requests", amount, says))
    return found


def _resource_name_problems(name: str) -> tuple[str, ...]:
    problems = names.qualified_name(name)
    if not problems and "/" not in name and not name.startswith("hugepages-"):
        return ("must be a standard resource for containers",)
    return problems


def _overcommits(name: str) -> bool:
    return "/" not in name and not name.startswith("hugepages-")


def validate_ids(context: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        if name in context:
            found += validate_id(f"{field}.{name}", context[name])
    return found


def validate_id(field: str, number: int) -> list[Cause]:
    says = f"must be between 0 and {_MOST_ID}, inclusive"
    return [] if 0 <= number <= _MOST_ID else [causes.invalid(field, number, says)]
