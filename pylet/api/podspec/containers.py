"""What containers must look like: names, images, ports, mounts, devices; their other parts have files of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pylet.api import causes, names
from pylet.api.containers import planned
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec import amounts, env, probes, security
from pylet.api.podspec.paths import no_backsteps, validate_descending
from pylet.api.podspec.probes import PROBES

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_RESIZE_POLICIES = ("NotRequired", "RestartContainer")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")
_MOST_RULES, _MOST_EXIT_CODES = 20, 255
_SIDECARS_ONLY = "may not be set for init containers without restartPolicy=Always"
_NOT_EPHEMERAL = (
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    *PROBES,
    "lifecycle",
)


def validate_all(spec: Object, volumes: Mapping[str, str], field: str) -> list[Cause]:
    """`volumes` are the pod's valid volumes: their names, and what they are."""
    found = _on_host_network(spec, field) if spec.get("hostNetwork") else []
    regular = spec.get("containers") or ()
    grace = spec.get("terminationGracePeriodSeconds", 0)
    if not regular:
        found.append(causes.required(f"{field}.containers"))
    taken: set[str] = set()
    host_ports: set[tuple[str, str, int]] = set()
    for position, container in enumerate(regular):
        where = f"{field}.containers[{position}]"
        found += _container(container, spec, volumes, where)
        found += _name_taken(container, taken, where)
        found += probes.validate(container, grace, where)
        found += _host_ports(container, host_ports, f"{field}.containers[{position}]")
    for position, container in enumerate(spec.get("initContainers") or ()):
        where = f"{field}.initContainers[{position}]"
        found += _container(container, spec, volumes, where)
        found += _name_taken(container, taken, where) if container.get("name") else []
        found += _host_ports(container, set(), where)
        if container.get("restartPolicy") == "Always":
            found += probes.validate(container, grace, where)
        else:
            unfit = [name for name in ("lifecycle", *PROBES) if name in container]
            found += [causes.forbidden(f"{where}.{name}", _SIDECARS_ONLY) for name in unfit]
    for position, container in enumerate(spec.get("ephemeralContainers") or ()):
        where = f"{field}.ephemeralContainers[{position}]"
        found += _container(container, spec, volumes, where)
        found += _ephemeral(container, spec, where)
        found += _name_taken(container, taken, where)
    return found


def _ephemeral(container: Object, spec: Object, where: str) -> list[Cause]:
    """What one that only looks at others may not have."""
    says = "cannot be set for an Ephemeral Container"
    found = [causes.forbidden(f"{where}.{name}", says) for name in _NOT_EPHEMERAL if container.get(name)]
    target = container.get("targetContainerName")
    if target and all(other.get("name") != target for other in planned(spec)):
        found.append(causes.not_found(f"{where}.targetContainerName", target))
    for position, mount in enumerate(container.get("volumeMounts") or ()):
        unfit = [name for name in ("subPath", "subPathExpr") if mount.get(name)]
        found += [causes.forbidden(f"{where}.volumeMounts[{position}].{name}", says) for name in unfit]
    return found


def _name_taken(container: Object, taken: set[str], where: str) -> list[Cause]:
    name = container.get("name", "")
    if name in taken:
        return [causes.duplicate(f"{where}.name", name)]
    taken.add(name)
    return []


def padded_images(spec: Object, field: str) -> list[Cause]:
    """What is no image's name: judged of pods alone, as templates may have been written before that was."""
    return [
        causes.invalid(f"{field}.{name}[{position}].image", image, "must not have leading or trailing whitespace")
        for name in ("containers", "initContainers", "ephemeralContainers")
        for position, container in enumerate(spec.get(name) or ())
        if (image := container.get("image", "")) != image.strip()
    ]


def _container(container: Object, spec: Object, volumes: Mapping[str, str], where: str) -> list[Cause]:
    found: list[Cause] = []
    name = container.get("name")
    if not name:
        found.append(causes.required(f"{where}.name"))
    elif problems := names.dns_label(name):
        found += causes.each(f"{where}.name", name, problems)
    if not container.get("image"):
        found.append(causes.required(f"{where}.image"))
    policy = container.get("terminationMessagePolicy")
    if policy not in _MESSAGE_POLICIES:
        found.append(causes.not_supported(f"{where}.terminationMessagePolicy", policy or "", _MESSAGE_POLICIES))
    policy = container.get("imagePullPolicy")
    if policy not in _PULL_POLICIES:
        found.append(causes.not_supported(f"{where}.imagePullPolicy", policy or "", _PULL_POLICIES))
    if ports := container.get("ports"):
        found += _ports(ports, f"{where}.ports")
    if variables := container.get("env"):
        found += env.validate(variables, f"{where}.env")
    if env_from := container.get("envFrom"):
        found += env.validate_from(env_from, f"{where}.envFrom")
    if mounts := container.get("volumeMounts"):
        found += _mounts(container, mounts, volumes, f"{where}.volumeMounts")
    if devices := container.get("volumeDevices"):
        found += _devices(container, devices, volumes, f"{where}.volumeDevices")
    if resources := container.get("resources"):
        claims = {claim.get("name", "") for claim in spec.get("resourceClaims") or ()}
        found += amounts.validate(resources, f"{where}.resources", claims)
    if policies := container.get("resizePolicy"):
        found += _resizing(policies, spec.get("restartPolicy", ""), f"{where}.resizePolicy")
    if "restartPolicy" in container or container.get("restartPolicyRules"):
        is_first = any(container is one for one in spec.get("initContainers") or ())
        found += _restarting(container, where, is_first=is_first)
    if context := container.get("securityContext"):
        host_users = spec.get("hostUsers") is not False
        found += security.validate_container(context, f"{where}.securityContext", host_users=host_users)
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


def _mounts(container: Object, mounts: Iterable[Object], volumes: Collection[str], field: str) -> list[Cause]:
    found: list[Cause] = []
    taken = set()
    devices = {device.get("name"): device.get("devicePath") for device in container.get("volumeDevices") or ()}
    privileged = (container.get("securityContext") or {}).get("privileged")
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
        if name in devices:
            found.append(causes.invalid(f"{field}[{position}].name", name, "must not already exist in volumeDevices"))
        if path and path in devices.values():
            says = "must not already exist as a path in volumeDevices"
            found.append(causes.invalid(f"{field}[{position}].mountPath", path, says))
        if sub := mount.get("subPath"):
            found += validate_descending(sub, f"{field}.subPath")
        if expression := mount.get("subPathExpr"):
            if sub:
                says = "subPathExpr and subPath are mutually exclusive"
                found.append(causes.invalid(f"{field}[{position}].subPathExpr", expression, says))
            found += validate_descending(expression, f"{field}.subPathExpr")
        found += _propagation(mount, f"{field}.mountPropagation", privileged=bool(privileged))
        found += _recursive(mount, f"{field}.recursiveReadOnly")
    return found


def _propagation(mount: Object, field: str, *, privileged: bool) -> list[Cause]:
    mode = mount.get("mountPropagation")
    if mode is None:
        return []
    if mode not in _PROPAGATIONS:
        return [causes.not_supported(field, mode, _PROPAGATIONS)]
    if mode == "Bidirectional" and not privileged:
        says = "Bidirectional mount propagation is available only to privileged containers"
        return [causes.forbidden(field, says)]
    return []


def _recursive(mount: Object, field: str) -> list[Cause]:
    mode = mount.get("recursiveReadOnly", "Disabled")
    if mode not in _RECURSIVE:
        return [causes.not_supported(field, mode, _RECURSIVE)]
    found: list[Cause] = []
    if mode != "Disabled" and not mount.get("readOnly"):
        found.append(causes.forbidden(field, "may only be specified when readOnly is true"))
    if mode != "Disabled" and mount.get("mountPropagation", "None") != "None":
        says = "may only be specified when mountPropagation is None or not specified"
        found.append(causes.forbidden(field, says))
    return found


def _devices(container: Object, devices: Iterable[Object], volumes: Mapping[str, str], field: str) -> list[Cause]:
    found: list[Cause] = []
    names_: set[str] = set()
    paths: set[str] = set()
    mounts = {mount.get("name"): mount.get("mountPath") for mount in container.get("volumeMounts") or ()}
    for position, device in enumerate(devices):
        where = f"{field}[{position}]"
        name, path = device.get("name") or "", device.get("devicePath") or ""
        if not name:
            found.append(causes.required(f"{where}.name"))
        if name in names_:
            found.append(causes.invalid(f"{where}.name", name, "must be unique"))
        if name not in volumes:
            found.append(causes.not_found(f"{where}.name", name))
        elif volumes[name] not in ("persistentVolumeClaim", "ephemeral"):
            says = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            found.append(causes.invalid(f"{where}.name", name, says))
        if not path:
            found.append(causes.required(f"{where}.devicePath"))
        if path in paths:
            found.append(causes.invalid(f"{where}.devicePath", path, "must be unique"))
        if no_backsteps(path, ""):
            found.append(causes.invalid(f"{where}.devicePath", path, "can not contain backsteps ('..')"))
        if name in mounts:
            found.append(causes.invalid(f"{where}.name", name, "must not already exist in volumeMounts"))
        if path and path in mounts.values():
            says = "must not already exist as a path in volumeMounts"
            found.append(causes.invalid(f"{where}.devicePath", path, says))
        names_ |= {name} if name else set()
        paths.add(path)
    return found


def _resizing(policies: Iterable[Object], pod_policy: str, field: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for position, each in enumerate(policies):
        name, policy = each.get("resourceName") or "", each.get("restartPolicy") or ""
        if name in seen:
            found.append(causes.duplicate(f"{field}[{position}]", name))
        seen.add(name)
        if not name:
            found.append(causes.required(field))
        elif name not in ("cpu", "memory"):
            found.append(causes.not_supported(field, name, ("cpu", "memory")))
        if not policy:
            found.append(causes.required(field))
        elif policy not in _RESIZE_POLICIES:
            found.append(causes.not_supported(field, policy, _RESIZE_POLICIES))
        if pod_policy == "Never" and policy != "NotRequired":
            says = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            found.append(causes.invalid(field, policy, says))
    return found


def _restarting(container: Object, where: str, *, is_first: bool) -> list[Cause]:
    """Rules of an init container that has no policy to say when they count are not looked into."""
    found: list[Cause] = []
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    if policy is None:
        says = "must specify restartPolicy when restart rules are used"
        found.append(causes.required(f"{where}.restartPolicy", says))
        if is_first:
            return found
    elif policy not in _RESTART_POLICIES:
        found.append(causes.not_supported(f"{where}.restartPolicy", policy, _RESTART_POLICIES))
    if len(rules) > _MOST_RULES:
        found.append(causes.too_many(f"{where}.restartPolicyRules", len(rules), _MOST_RULES))
    for position, rule in enumerate(rules):
        at, codes = f"{where}.restartPolicyRules[{position}]", rule.get("exitCodes")
        action = rule.get("action") or ""
        if action not in ("Restart", "RestartAllContainers"):
            found.append(causes.not_supported(f"{at}.action", action, ("Restart", "RestartAllContainers")))
        if codes is None:
            found.append(causes.required(f"{at}.exitCodes", "must be specified"))
            continue
        operator, values = codes.get("operator") or "", codes.get("values") or ()
        if operator not in ("In", "NotIn"):
            found.append(causes.not_supported(f"{at}.exitCodes.operator", operator, ("In", "NotIn")))
        if len(values) > _MOST_EXIT_CODES:
            found.append(causes.too_many(f"{at}.exitCodes.values", len(values), _MOST_EXIT_CODES))
    return found
