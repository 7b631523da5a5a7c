"""A container's environment: from its spec, its sources and the Services around it. Pure.

Source: upstream `third_party/forked/golang/expansion/expand.go`, `pkg/kubelet/envvars/envvars.go`,
`kubelet_pods.go` (makeEnvironmentVariables).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping

from pylet.agent.kubelet.downward import NotAvailable, field_text, resource_text
from pylet.agent.kubelet.env_file import NoEnvFile, value_in
from pylet.api.ip import in_url
from pylet.api.object import Object, dig

_REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))")


class EnvError(Exception):
    """The environment cannot be made: the text is the message of CreateContainerConfigError."""


Lookup = Callable[[str, str], Object | None]
"""(ConfigMap or Secret, name) → the object in the pod's namespace."""
Files = Mapping[tuple[str, str], str]
"""(volume, path below it) → what is there; files that could not be read are left out."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` becomes NAME's value, `$$` a dollar; what is not known stays as it is written."""

    def replace(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return values.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)


def references(container: Object) -> set[tuple[str, str]]:
    """(ConfigMap or Secret, name) of everything the environment reads."""
    found = set()
    for source in container.get("envFrom") or ():
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source:
                found.add((kind, source[field].get("name", "")))
    for variable in container.get("env") or ():
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if field in (variable.get("valueFrom") or {}):
                found.add((kind, variable["valueFrom"][field].get("name", "")))
    return found


def files(container: Object) -> set[tuple[str, str]]:
    """(volume, path) of everything the environment reads out of the pod's volumes."""
    found = [dig(variable, "valueFrom", "fileKeyRef") for variable in container.get("env") or ()]
    return {(ref["volumeName"], ref["path"]) for ref in found if ref}


def environment(
    pod: Object, container: Object, node: Object, services: Mapping[str, str], lookup: Lookup, read: Files
) -> dict[str, str]:
    """Names to values, in the order they are to be given. Raises: EnvError."""
    values: dict[str, str] = dict(services)
    for source in container.get("envFrom") or ():
        values |= _from_source(source, lookup)
    for variable in container.get("env") or ():
        ref = dig(variable, "valueFrom", "fileKeyRef")
        text = _from_file(ref, read) if ref else _value(variable, values, pod, container, node, lookup)
        if text is not None:
            values[variable["name"]] = text
    return values


def _value(
    variable: Object, values: Mapping[str, str], pod: Object, container: Object, node: Object, lookup: Lookup
) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(variable.get("value", ""), values)
    try:
        if "fieldRef" in source:
            return field_text(source["fieldRef"]["fieldPath"], pod)
        if "resourceFieldRef" in source:
            return resource_text(source["resourceFieldRef"], pod, node, container)
    except NotAvailable as missing:
        raise EnvError(str(missing)) from missing
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if field in source:
            return _key(kind, source[field], lookup)
    raise EnvError(f"env {variable['name']}: no known source in valueFrom")


def _from_file(ref: Object, read: Files) -> str | None:
    try:
        text = value_in(read[ref["volumeName"], ref["path"]], ref["key"])
    except (KeyError, NoEnvFile) as failed:
        raise EnvError("couldn't parse env file") from failed
    if not text and not ref.get("optional"):
        raise EnvError(f'environment variable key "{ref["key"]}" not found in file "{ref["path"]}"')
    return text or None


def _key(kind: str, ref: Object, lookup: Lookup) -> str | None:
    found = lookup(kind, ref.get("name", ""))
    if found is None:
        if ref.get("optional"):
            return None
        raise EnvError(f'{kind.lower()} "{ref.get("name", "")}" not found')
    texts = _texts(kind, found)
    if ref["key"] not in texts:
        if ref.get("optional"):
            return None
        raise EnvError(f"couldn't find key {ref['key']} in {kind} {dig(found, 'metadata', 'namespace')}/{ref['name']}")
    return texts[ref["key"]]


def _from_source(source: Object, lookup: Lookup) -> dict[str, str]:
    for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        if field not in source:
            continue
        found = lookup(kind, source[field].get("name", ""))
        if found is not None:
            return {source.get("prefix", "") + name: text for name, text in _texts(kind, found).items()}
        if not source[field].get("optional"):
            raise EnvError(f'{kind.lower()} "{source[field].get("name", "")}" not found')
    return {}


def _texts(kind: str, found: Object) -> dict[str, str]:
    if kind == "ConfigMap":
        return dict(found.get("data") or {})
    data = found.get("data") or {}
    return {name: base64.b64decode(value or "").decode(errors="surrogateescape") for name, value in data.items()}


def service_variables(services: Iterable[Object], namespace: str, *, links: bool) -> dict[str, str]:
    """`NAME_SERVICE_HOST` and its kin: for the API's Service always, for those of the pod's namespace with `links`."""
    values: dict[str, str] = {}
    for service in services:
        meta, spec = service["metadata"], service["spec"]
        is_api = (meta["namespace"], meta["name"]) == ("default", "kubernetes")
        if not is_api and not (links and meta["namespace"] == namespace):
            continue
        address = spec.get("clusterIP", "")
        if address in ("", "None") or not spec.get("ports"):
            continue
        values |= _variables_of(meta["name"].upper().replace("-", "_"), address, spec["ports"])
    return values


def _variables_of(prefix: str, address: str, ports: list[Object]) -> dict[str, str]:
    values = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            values[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol = port.get("protocol", "TCP").lower()
        url = f"{protocol}://{in_url(address)}:{port['port']}"
        if index == 0:
            values[f"{prefix}_PORT"] = url
        key = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        values |= {key: url, f"{key}_PROTO": protocol, f"{key}_PORT": str(port["port"]), f"{key}_ADDR": address}
    return values
