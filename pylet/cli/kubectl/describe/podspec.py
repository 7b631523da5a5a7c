"""Containers and tolerations: what the description of a pod and of a pod template have in common."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
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
    if status is not None:
        page.write(f"Container ID:\t{status.get('containerID', '')}", 2)
    page.write(f"Image:\t{container.get('image', '')}", 2)
    if status is not None:
        page.write(f"Image ID:\t{status.get('imageID', '')}", 2)
    _ports(page, "Port", "containerPort", container)
    _ports(page, "Host Port", "hostPort", container)
    profile = dig(container, "securityContext", "seccompProfile", default={})
    page.fields(profile, ("SeccompProfile", "type"), level=2)
    for title, words in (("Command", container.get("command")), ("Args", container.get("args"))):
        _block(page, title, (line for word in words or () for line in word.split("\n")))
    if status is not None:
        _status(page, status)
    for title in ("Limits", "Requests"):
        amounts = dig(container, "resources", title.lower(), default={})
        _block(page, title, (f"{name}:\t{amount}" for name, amount in sorted(amounts.items())))
    for title in ("Liveness", "Readiness", "Startup"):
        if probe := container.get(f"{title.lower()}Probe"):
            page.write(f"{title}:\t{_probe(probe)}", 2)
    _environment(page, container, pod)
    mounts = sorted(container.get("volumeMounts") or (), key=lambda mount: str(mount["mountPath"]))
    _block(page, "Mounts", map(_mount, mounts), none="\t<none>")


def _block(page: Page, title: str, lines: Iterable[str], *, none: str = "") -> None:
    """A title with lines below it; without any the title with `none`, or nothing."""
    lines = list(lines)
    if lines or none:
        page.write(f"{title}:{'' if lines else none}", 2)
    for line in lines:
        page.write(line, 3)


def _ports(page: Page, title: str, field: str, container: Object) -> None:
    ports = container.get("ports") or ()
    shown = [f"{p.get(field, 0)}/{p['protocol']}" + (f" ({p['name']})" if p.get("name") else "") for p in ports]
    page.write(f"{title}{'s' if len(ports) > 1 else ''}:\t{', '.join(shown) or '<none>'}", 2)


def _mount(mount: Object) -> str:
    flags = ["ro" if mount.get("readOnly") else "rw"]
    flags += [f"path={json.dumps(mount['subPath'])}"] if mount.get("subPath") else []
    return f"{mount['mountPath']} from {mount['name']} ({','.join(flags)})"


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
        page.fields(ended, ("Reason", "reason"), ("Message", "message"), level=3)
        write(f"Exit Code:\t{ended.get('exitCode', 0)}")
        page.fields(ended, ("Signal", "signal"), level=3)
        write(f"Started:\t{when(ended.get('startedAt'))}")
        write(f"Finished:\t{when(ended.get('finishedAt'))}")
    else:
        page.write(f"{title}:\tWaiting", 2)
        page.fields(state.get("waiting") or {}, ("Reason", "reason"), level=3)


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
    page.write("Environment:" if variables else "Environment:\t<none>", 2)
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
    page.fields(spec, ("Service Account", "serviceAccountName"), level=1)
    if spec.get("initContainers"):
        containers(page, "Init Containers", spec["initContainers"], (), pod=None, space="  ")
    containers(page, "Containers", spec["containers"], (), pod=None, space="  ")
    volumes.write(page, spec.get("volumes") or (), "  ")
    page.fields(spec, ("Priority Class Name", "priorityClassName"), level=1)
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
