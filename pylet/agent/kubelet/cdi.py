"""Devices by name (CDI) for runtimes that do not look names up by themselves: containerd does from 2.0 on.

What a name means is in the node's specifications; hooks in them are for the runtime alone: who needs some keeps its
name. Source: the Container Device Interface, SPEC.md.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import orjson

from pylet.agent.kubelet.provided import CannotProvide, Extras
from pylet.api.object import Object
from pylet.cri.features import Version
from pylet.cri.messages import CDIDevice, Device, Mount

DIRECTORIES = Path("/etc/cdi"), Path("/var/run/cdi")
_LOOKS_UP = 2
_TYPES = {"b": stat.S_IFBLK, "c": stat.S_IFCHR, "u": stat.S_IFCHR, "p": stat.S_IFIFO}


def looks_up(runtime: Version) -> bool:
    """Whether the runtime makes of names what they mean, without being configured to."""
    major = runtime.runtime_version.removeprefix("v").partition(".")[0]
    return runtime.runtime_name != "containerd" or (major.isdigit() and int(major) >= _LOOKS_UP)


def read(directories: Iterable[Path], nodes: Path) -> dict[str, list[Object]]:
    """By qualified name, the edits of a container that gets the device; what cannot be read names nothing.

    A device that is told by its type and numbers need not be anywhere on the machine: it is made in `nodes`.
    """
    found: dict[str, list[Object]] = {}
    for directory in directories:
        for file in sorted(directory.glob("*")):
            try:
                spec = _parsed(file)
                common = spec.get("containerEdits") or {}
                for device in spec["devices"]:
                    edits = found[f"{spec['kind']}={device['name']}"] = [common, device["containerEdits"]]
                    for node in (node for each in edits for node in each.get("deviceNodes") or ()):
                        if "type" in node:
                            node["hostPath"] = _made(node, nodes)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
    return found


def resolved(extras: Extras, specifications: dict[str, list[Object]]) -> Extras:
    """Raises: CannotProvide."""
    names = [device.name for device in extras.cdi_devices]
    if missing := [name for name in names if name not in specifications]:
        raise CannotProvide(f"CDI device injection failed: unresolvable CDI devices {', '.join(missing)}")
    left = [name for name in names if any(edits.get("hooks") for edits in specifications[name])]
    edits = [edits for name in names if name not in left for edits in specifications[name]]
    entries = (entry.partition("=") for each in edits for entry in each.get("env") or ())
    devices = {device.container_path: device for each in edits for device in _devices(each)}
    mounts = {mount.container_path: mount for each in edits for mount in _mounts(each)}
    return replace(
        extras,
        environment={**extras.environment, **{name: value for name, _, value in entries}},
        devices=(*extras.devices, *devices.values()),
        mounts=(*extras.mounts, *mounts.values()),
        cdi_devices=tuple(CDIDevice(name) for name in left),
    )


def _made(node: Object, directory: Path) -> str:
    kind, major, minor = _TYPES[node["type"]], int(node.get("major") or 0), int(node.get("minor") or 0)
    mode = int(node.get("fileMode") or 0o666)
    path = directory / f"{node['type']}-{major}-{minor}-{mode:o}"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.mknod(path, kind, os.makedev(major, minor))
    path.chmod(mode)  # whatever the umask is
    return str(path)


def _parsed(file: Path) -> Object:
    if file.suffix in (".yaml", ".yml"):
        import yaml

        spec: Object = yaml.safe_load(file.read_text())
    elif file.suffix == ".json":
        spec = orjson.loads(file.read_bytes())
    else:
        raise ValueError(file)
    return spec


def _devices(edits: Object) -> Iterator[Device]:
    for node in edits.get("deviceNodes") or ():
        yield Device(node["path"], node.get("hostPath") or node["path"], node.get("permissions") or "rwm")


def _mounts(edits: Object) -> Iterator[Mount]:
    for mount in edits.get("mounts") or ():
        yield Mount(mount["containerPath"], mount["hostPath"], "ro" in (mount.get("options") or ()))
