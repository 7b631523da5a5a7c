"""Users of their own for pods with `hostUsers: false`: which ids of the machine are a pod's.

A file in the pod's directory says so, and nothing else remembers it: ids are free when no pod's file names them.
Loaded with the first such pod. Source: upstream `pkg/kubelet/userns/userns_manager.go`, whose file this is, and
`pkg/kubelet/kubelet_pods.go` (getKubeletMappings).
"""

from __future__ import annotations

import json
import pwd
import random
import shutil
from collections.abc import Collection, Mapping
from itertools import chain
from pathlib import Path

from pylet.agent.kubelet.provided import CannotProvide
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.volumes import tools
from pylet.agent.kubelet.volumes.interface import VolumeError
from pylet.aio import wholefile
from pylet.api.object import Object, uid_of
from pylet.cri.messages import IDMapping, NamespaceMode, UserNamespace

_FILE = "userns"
_USER = "kubelet"
"""Whose subordinate ids pods get, where the machine has that user."""
_ALL_IDS = 1 << 32


class NoUsers(CannotProvide):
    """The pod cannot have users of its own, and why."""


async def users_of(pod: Object, handler: str, able: Mapping[str, bool], settings: Settings) -> UserNamespace:
    """The same ones whenever it is asked for while the pod lives; `able` has the runtime's handlers.

    Raises: NoUsers, OSError.
    """
    if why := objection(able, handler):
        raise NoUsers(why)
    file = settings.pod_dir(uid_of(pod)) / _FILE
    if not file.exists():
        first, length = await _subordinate(settings.ids_per_pod)
        ids = slots(first, length, settings.ids_per_pod, settings.max_pods)
        # From looking what is taken to taking the rest nothing is awaited.
        taken = [_read(other) for other in settings.root.glob(f"pods/*/{_FILE}")]
        mine = choose(ids, taken, random.randrange(len(ids)))  # not at once those of one who has just ended
        wholefile.write(file, written(IDMapping(mine, 0, settings.ids_per_pod)))
    mapping = _read(file)
    return UserNamespace(NamespaceMode.POD, (mapping,), (mapping,))


def release(pod: Object, settings: Settings) -> None:
    """The pod has ended: its ids are free for others."""
    (settings.pod_dir(uid_of(pod)) / _FILE).unlink(missing_ok=True)


def objection(able: Mapping[str, bool], handler: str) -> str:
    """Why a pod of that handler cannot have users of its own; "" where it can. A runtime may tell of no handlers."""
    if able.get(handler):
        return ""
    who = f'RuntimeClass handler "{handler}"' if handler else "runtime"
    unknown = f': the handler "{handler}" is not known' if able and handler not in able else ""
    return f"can't set `spec.hostUsers: false`, {who} does not support user namespaces{unknown}"


def slots(first: int, length: int, per_pod: int, max_pods: int) -> range:
    """The first ids of what each pod can have. Raises: NoUsers."""
    assigned = "create user namespace: kubelet user assigned"
    if first % per_pod:
        raise NoUsers(f"{assigned} ID {first} is not a multiple of {per_pod}")
    if first < per_pod:
        raise NoUsers(f"{assigned} ID {first} must be greater or equal to {per_pod}")
    if length % per_pod:
        raise NoUsers(f"{assigned} IDs length {length} is not a multiple of {per_pod}")
    if length // per_pod < max_pods:
        raise NoUsers(f"{assigned} IDs are not enough to support {max_pods} pods")
    return range(first, first + length, per_pod)


def choose(ids: range, taken: Collection[IDMapping], start: int) -> int:
    """The first that is free, from the one at `start` round to it. Raises: NoUsers."""
    for mine in chain(ids[start:], ids[:start]):
        if all(mine + ids.step <= other.host_id or other.host_id + other.length <= mine for other in taken):
            return mine
    raise NoUsers("create user namespace: could not find an empty slot to allocate a user namespace")


def written(mapping: IDMapping) -> bytes:
    entry = {"hostId": mapping.host_id, "containerId": mapping.container_id, "length": mapping.length}
    return json.dumps({"uidMappings": [entry], "gidMappings": [entry]}).encode()


def parse(text: bytes) -> IDMapping:
    """Raises: NoUsers."""
    try:
        found = json.loads(text)
        (users,), (groups,) = found["uidMappings"], found["gidMappings"]
        mapping = IDMapping(users["hostId"], users["containerId"], users["length"])
    except (ValueError, TypeError, KeyError) as bad:
        raise NoUsers(f"user namespace: invalid user namespace mappings file: {bad}") from bad
    if users != groups:
        words = "GID and UID mapping should be identical"
    elif mapping.container_id != 0:
        words = "UID 0 must be mapped"
    else:
        return mapping
    raise NoUsers(f"user namespace: invalid user namespace configuration: {words}")


def subordinate(users: str, groups: str) -> tuple[int, int]:
    """First id and how many, as getsubids tells of users and groups: `0: kubelet 65536 2147483648`. Raises: NoUsers."""
    if users != groups:
        raise NoUsers(f'kubelet mappings: mismatched subuids and subgids for user "{_USER}"')
    lines = users.strip("\n").split("\n")
    if len(lines) != 1:
        raise NoUsers(f'kubelet mappings: error parsing line "{users}": it must contain only one line')
    match lines[0].split():
        case [_, _, first, length] if first.isdigit() and length.isdigit():
            return int(first), int(length)
    raise NoUsers(f'kubelet mappings: invalid line "{users}"')


async def _subordinate(per_pod: int) -> tuple[int, int]:
    """All but the machine's own, where nobody says."""
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        return per_pod, _ALL_IDS - per_pod
    program = shutil.which("getsubids")
    if program is None:
        return per_pod, _ALL_IDS - per_pod
    try:
        return subordinate(await tools.run(program, _USER), await tools.run(program, "-g", _USER))
    except VolumeError as failed:
        raise NoUsers(f'kubelet mappings: error retrieving additional ids for user "{_USER}": {failed}') from failed


def _read(file: Path) -> IDMapping:
    return parse(file.read_bytes())
