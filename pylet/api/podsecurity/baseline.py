"""What is known to make a pod master of its node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pylet.api import causes
from pylet.api.object import Object, dig
from pylet.api.podsecurity.policy import Violation
from pylet.api.podsecurity.subject import Check, Subject, containers, plural, quoted, setters

PROFILES = ("RuntimeDefault", "Localhost")
_CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
_SYSCTLS = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
}  # and the version they are allowed from
_SELINUX_TYPES = {"": 0, "container_t": 0, "container_init_t": 0, "container_kvm_t": 0, "container_engine_t": 31}
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_HANDLERS = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


def _app_armor(pod: Subject) -> Violation | None:
    own = pod.setting("appArmorProfile")
    bad = [(name, found) for name, found in pod.settings("appArmorProfile") if found.get("type") not in PROFILES]
    is_bad = own is not None and own.get("type") not in PROFILES
    who = [text] if (text := setters([name for name, _ in bad], pod=is_bad)) else []
    values = sorted({found.get("type", "") for found in [*([own] if is_bad else ()), *(found for _, found in bad)]})
    annotations = _bad_annotations(
        pod, (name for name in pod.annotations if name.startswith(_APPARMOR)), "", "runtime/default"
    )
    if annotations:
        values += annotations
        who.append(plural("annotation", annotations))
    if not who:
        return None
    return Violation(
        plural("forbidden AppArmor profile", values),
        f"{' and '.join(who)} must not set AppArmor profile type to {quoted(values)}",
    )


def _bad_annotations(pod: Subject, names: Iterable[str], *allowed: str) -> list[str]:
    return sorted(
        f"{name}={causes.quoted(pod.annotations[name])}"
        for name in names
        if pod.annotations[name] not in allowed and not pod.annotations[name].startswith("localhost/")
    )


def _capabilities(pod: Subject) -> Violation | None:
    bad = {name: set(added) - _CAPABILITIES for name, added in pod.settings("capabilities", "add")}
    bad = {name: added for name, added in bad.items() if added}
    if not bad:
        return None
    added = quoted(sorted(set().union(*bad.values())))
    detail = f"{containers(list(bad))} must not include {added} in securityContext.capabilities.add"
    return Violation("non-default capabilities", detail)


def _host_namespaces(pod: Subject) -> Violation | None:
    shared = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(name)]
    return Violation("host namespaces", ", ".join(shared)) if shared else None


def _host_paths(pod: Subject) -> Violation | None:
    names = [volume["name"] for volume in pod.spec.get("volumes") or () if volume.get("hostPath") is not None]
    return Violation("hostPath volumes", f"{plural('volume', names)} {quoted(names)}") if names else None


def _host_ports(pod: Subject) -> Violation | None:
    bad = {
        found["name"]: [str(port["hostPort"]) for port in found.get("ports") or () if port.get("hostPort")]
        for found in pod.containers
    }
    return _uses("hostPort", "hostPort", bad, ", ".join)


def _hosts(pod: Subject) -> Violation | None:
    if pod.minor < 34:
        return None
    bad = {found["name"]: list(_handler_hosts(found)) for found in sorted(pod.containers, key=lambda c: str(c["name"]))}
    return _uses("probe or lifecycle host", "probe or lifecycle host", bad, quoted)


def _handler_hosts(container: Object) -> Iterable[str]:
    for path in _HANDLERS:
        for sort in ("httpGet", "tcpSocket"):
            if host := dig(container, *path, sort, "host"):
                yield host


def _uses(
    reason: str, what: str, bad: dict[str, list[str]], listed: Callable[[Iterable[str]], str]
) -> Violation | None:
    names = [name for name, found in bad.items() if found]
    values = sorted({value for found in bad.values() for value in found})
    if not names:
        return None
    verb = "uses" if len(names) == 1 else "use"
    return Violation(reason, f"{containers(names)} {verb} {plural(what, values)} {listed(values)}")


def _privileged(pod: Subject) -> Violation | None:
    names = pod.bad(lambda context: bool(context.get("privileged")))
    detail = f"{containers(names)} must not set securityContext.privileged=true"
    return Violation("privileged", detail) if names else None


def proc_mount(pod: Subject) -> Violation | None:
    bad = {name: sort for name, sort in pod.settings("procMount") if sort != "Default"}
    if not bad:
        return None
    sorts = quoted(sorted(set(bad.values())))
    return Violation("procMount", f"{containers(list(bad))} must not set securityContext.procMount to {sorts}")


def _proc_mount(pod: Subject) -> Violation | None:
    return None if pod.minor >= 35 and pod.has_own_users else proc_mount(pod)


def _selinux(pod: Subject) -> Violation | None:
    def is_bad(options: Object) -> bool:
        return not is_allowed(options.get("type", "")) or bool(options.get("user")) or bool(options.get("role"))

    def is_allowed(sort: str) -> bool:
        return _SELINUX_TYPES.get(sort, pod.minor + 1) <= pod.minor

    own: Any = pod.setting("seLinuxOptions")
    bad = {name: options for name, options in pod.settings("seLinuxOptions") if is_bad(options)}
    of_pod = own is not None and is_bad(own)
    if not bad and not of_pod:
        return None
    options = [*bad.values(), *([own] if of_pod else ())]
    types = sorted({found.get("type", "") for found in options if not is_allowed(found.get("type", ""))})
    said = [f"{plural('type', types)} {quoted(types)}"] if types else []
    said += [f"{field} may not be set" for field in ("user", "role") if any(found.get(field) for found in options)]
    detail = f"{setters(list(bad), pod=of_pod)} set forbidden securityContext.seLinuxOptions: {'; '.join(said)}"
    return Violation("seLinuxOptions", detail)


def bad_seccomp(pod: Subject) -> Violation | None:
    own = pod.setting("seccompProfile")
    of_pod = own is not None and own.get("type") not in PROFILES
    bad = {name: found for name, found in pod.settings("seccompProfile") if found.get("type") not in PROFILES}
    if not bad and not of_pod:
        return None
    values = quoted(sorted({found.get("type", "") for found in [*bad.values(), *([own] if of_pod else ())]}))
    detail = f"{setters(list(bad), pod=of_pod)} must not set securityContext.seccompProfile.type to {values}"
    return Violation("seccompProfile", detail)


def _seccomp(pod: Subject) -> Violation | None:
    if pod.minor >= 19:
        return bad_seccomp(pod)
    names = {_SECCOMP_POD, *(_SECCOMP_CONTAINER + found["name"] for found in pod.containers)}
    bad = _bad_annotations(pod, names.intersection(pod.annotations), "runtime/default", "docker/default")
    return Violation("seccompProfile", f"forbidden {plural('annotation', bad)} {', '.join(bad)}") if bad else None


def _sysctls(pod: Subject) -> Violation | None:
    names = [found.get("name", "") for found in pod.setting("sysctls") or ()]
    bad = [name for name in names if _SYSCTLS.get(name, pod.minor + 1) > pod.minor]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def _host_process(pod: Subject) -> Violation | None:
    names = [name for name, is_set in pod.settings("windowsOptions", "hostProcess") if is_set]
    who = setters(names, pod=bool(pod.setting("windowsOptions", "hostProcess")))
    detail = f"{who} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", detail) if who else None


BASELINE: dict[str, Check] = {
    "appArmorProfile": _app_armor,
    "capabilities_baseline": _capabilities,
    "hostNamespaces": _host_namespaces,
    "hostPathVolumes": _host_paths,
    "hostPorts": _host_ports,
    "hostProbesAndHostLifecycle": _hosts,
    "privileged": _privileged,
    "procMount": _proc_mount,
    "seLinuxOptions": _selinux,
    "seccompProfile_baseline": _seccomp,
    "sysctls": _sysctls,
    "windowsHostProcess": _host_process,
}
"""In upstream's order, which is that of the violations."""
