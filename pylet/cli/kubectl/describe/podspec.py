"""Containers and tolerations: what the description of a pod and of a pod template have in common."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pylet.api import quantity
from pylet.api.object import Object, controller_of, dig
from pylet.cli.kubectl.describe import volumes
from pylet.cli.kubectl.describe.page import Page, selector_text, when


def containers(
    page: Page, title: str, found: Sequence[Object], statuses: Sequence[Object], *, pod: Object | None, space: str = ""
) -> None:
    page.write(f"{space}{title}:{'' if found else ' <none>'}")
    by_name = {status["name"]: status for status in statuses}
    for container in found:
        page.write(f"{' ' if space else ''}{container['name']}:", 1)
        _container(page, container, by_name.get(container["name"]), pod)


def _container(page: Page, container: Object, status: Object | None, pod: Object | None) -> None:
    def write(text: str, level: int = 2) -> None:
        page.write(text, level)

    if status is not None:
        write(f"Container ID:\t{status.get('containerID', '')}")
    write(f"Image:\t{container.get('image', '')}")
    if status is not None:
        write(f"Image ID:\t{status.get('imageID', '')}")
    ports = container.get("ports") or ()
    named = [f"{p['containerPort']}/{p['protocol']}" + (f" ({p['name']})" if p.get("name") else "") for p in ports]
    hosts = [f"{p.get('hostPort', 0)}/{p['protocol']}" + (f" ({p['name']})" if p.get("name") else "") for p in ports]
    write(f"{'Ports' if len(ports) > 1 else 'Port'}:\t{', '.join(named) or '<none>'}")
    write(f"{'Host Ports' if len(ports) > 1 else 'Host Port'}:\t{', '.join(hosts) or '<none>'}")
    if profile := dig(container, "securityContext", "seccompProfile"):
        write(f"SeccompProfile:\t{profile['type']}")
    for title, field in (("Command", "command"), ("Args", "args")):
        if container.get(field):
            write(f"{title}:")
            for line in (line for word in container[field] for line in word.split("\n")):
                write(line, 3)
    if status is not None:
        _status(page, status)
    for title, field in (("Limits", "limits"), ("Requests", "requests")):
        amounts = dig(container, "resources", field, default={})
        if amounts:
            write(f"{title}:")
        for name, amount in sorted(amounts.items()):
            write(f"{name}:\t{amount}", 3)
    probes = (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe"))
    for title, field in probes:
        if container.get(field):
            write(f"{title}:\t{_probe(container[field])}")
    _environment(page, container, pod)
    mounts = sorted(container.get("volumeMounts") or (), key=lambda mount: str(mount["mountPath"]))
    write(f"Mounts:{'' if mounts else chr(9) + '<none>'}")
    for mount in mounts:
        flags = ["ro" if mount.get("readOnly") else "rw"]
        flags += [f"path={json.dumps(mount['subPath'])}"] if mount.get("subPath") else []
        write(f"{mount['mountPath']} from {mount['name']} ({','.join(flags)})", 3)


def _status(page: Page, status: Object) -> None:
    _state(page, "State", status.get("state") or {})
    if dig(status, "lastState", "terminated"):
        _state(page, "Last State", status["lastState"])
    page.write(f"Ready:\t{status.get('ready', False)}", 2)
    page.write(f"Restart Count:\t{status.get('restartCount', 0)}", 2)


def _state(page: Page, title: str, state: Object) -> None:
    def write(text: str) -> None:
        page.write(text, 3)

    if running := state.get("running"):
        page.write(f"{title}:\tRunning", 2)
        write(f"Started:\t{when(running.get('startedAt'))}")
    elif ended := state.get("terminated"):
        page.write(f"{title}:\tTerminated", 2)
        for name, field in (("Reason", "reason"), ("Message", "message")):
            if ended.get(field):
                write(f"{name}:\t{ended[field]}")
        write(f"Exit Code:\t{ended.get('exitCode', 0)}")
        if ended.get("signal"):
            write(f"Signal:\t{ended['signal']}")
        write(f"Started:\t{when(ended.get('startedAt'))}")
        write(f"Finished:\t{when(ended.get('finishedAt'))}")
    else:
        page.write(f"{title}:\tWaiting", 2)
        if reason := dig(state, "waiting", "reason"):
            write(f"Reason:\t{reason}")


def _probe(probe: Object) -> str:
    numbers = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 0)}s "
        f"period={probe.get('periodSeconds', 0)}s #success={probe.get('successThreshold', 0)} "
        f"#failure={probe.get('failureThreshold', 0)}"
    )
    if handler := probe.get("exec"):
        return f"exec [{' '.join(handler.get('command') or ())}] {numbers}"
    if handler := probe.get("httpGet"):
        path = handler.get("path", "")
        url = f"{handler.get('scheme', '').lower()}://{handler.get('host', '')}:{handler['port']}{path}"
        return f"http-get {url} {numbers}"
    if handler := probe.get("tcpSocket"):
        return f"tcp-socket {handler.get('host', '')}:{handler['port']} {numbers}"
    if handler := probe.get("grpc"):
        return f"grpc <pod>:{handler['port']} {handler.get('service', '')} {numbers}"
    return f"unknown {numbers}"


def _environment(page: Page, container: Object, pod: Object | None) -> None:
    if sources := container.get("envFrom"):
        page.write("Environment Variables from:", 2)
        for source in sources:
            kind, field = ("ConfigMap", "configMapRef") if source.get("configMapRef") else ("Secret", "secretRef")
            ref = source.get(field) or {}
            prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
            page.write(f"{ref.get('name', '')}\t{kind}{prefix}\tOptional: {_bool(ref.get('optional'))}", 3)
    variables = container.get("env") or ()
    page.write(f"Environment:{'' if variables else chr(9) + '<none>'}", 2)
    for variable in variables:
        if "valueFrom" in variable:
            page.write(f"{variable['name']}:\t{_value_from(variable['valueFrom'], container, pod)}", 3)
            continue
        first, *rest = variable.get("value", "").split("\n")
        page.write(f"{variable['name']}:\t{first}", 3)
        for line in rest:
            page.write(f"\t{line}", 3)


def _value_from(source: Object, container: Object, pod: Object | None) -> str:
    if ref := source.get("fieldRef"):
        value = _field(pod, ref["fieldPath"]) if pod is not None else ""
        return f"{value} ({ref.get('apiVersion', 'v1')}:{ref['fieldPath']})"
    if ref := source.get("resourceFieldRef"):
        which, _, name = ref["resource"].partition(".")
        value = dig(container, "resources", which, name, default="0")
        zero = value == "0" and which == "limits"
        shown = "node allocatable" if zero else _divided(name, value, ref.get("divisor", "1"))
        return f"{shown} ({ref['resource']})"
    if ref := source.get("secretKeyRef"):
        optional = _bool(ref.get("optional"))
        return f"<set to the key '{ref['key']}' in secret '{ref['name']}'>\tOptional: {optional}"
    ref = source.get("configMapKeyRef") or {"key": "", "name": ""}
    optional = _bool(ref.get("optional"))
    return f"<set to the key '{ref['key']}' of config map '{ref['name']}'>\tOptional: {optional}"


def _divided(name: str, value: str, divisor: str) -> int:
    """Rounded up, as a container sees it in its variable."""
    unit = quantity.parse(divisor).nanos or quantity.parse("1").nanos
    return -(-quantity.parse(value).nanos // unit)


def _field(pod: Object, path: str) -> str:
    value = dig(pod, *path.split("."), default="")
    return value if isinstance(value, str) else ""


def _bool(value: Any) -> str:
    return "true" if value else "false"


def tolerations(page: Page, title: str, found: Sequence[Object]) -> None:
    page.lines(title, [_toleration(t) for t in sorted(found, key=lambda t: str(t.get("key", "")))])


def _toleration(toleration: Object) -> str:
    key, effect = toleration.get("key", ""), toleration.get("effect", "")
    text = key
    if toleration.get("value"):
        text += f"={toleration['value']}"
    text += f":{effect}" if effect else ""
    if toleration.get("operator") == "Exists" and not toleration.get("value"):
        text += " op=Exists" if key or effect else "op=Exists"
    seconds = toleration.get("tolerationSeconds")
    return text if seconds is None else f"{text} for {seconds}s"


def template(page: Page, found: Object) -> None:
    meta, spec = found.get("metadata") or {}, found["spec"]
    page.write("Pod Template:")
    page.labels("  Labels", meta.get("labels"))
    if meta.get("annotations"):
        page.annotations("  Annotations", meta["annotations"])
    if spec.get("serviceAccountName"):
        page.write(f"Service Account:\t{spec['serviceAccountName']}", 1)
    if spec.get("initContainers"):
        containers(page, "Init Containers", spec["initContainers"], (), pod=None, space="  ")
    containers(page, "Containers", spec["containers"], (), pod=None, space="  ")
    volumes.write(page, spec.get("volumes") or (), "  ")
    if spec.get("priorityClassName"):
        page.write(f"Priority Class Name:\t{spec['priorityClassName']}", 1)
    page.labels("  Node-Selectors", spec.get("nodeSelector"))
    tolerations(page, "  Tolerations", spec.get("tolerations") or ())


def phases_of_pods(page: Page, owner: Object) -> str:
    """How many of the pods that a workload controls are in which phase."""
    meta = owner["metadata"]
    selector = selector_text(owner["spec"]["selector"])
    found = page.listed(f"/api/v1/namespaces/{meta['namespace']}/pods", labelSelector=selector)
    phases = Counter(dig(p, "status", "phase") for p in found if (controller_of(p) or {}).get("uid") == meta["uid"])
    return (
        f"{phases['Running']} Running / {phases['Pending']} Waiting / {phases['Succeeded']} Succeeded / "
        f"{phases['Failed']} Failed"
    )
