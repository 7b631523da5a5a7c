"""projected: several sources in one directory; among them the ServiceAccount token, replaced before it expires."""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes.atomic import File
from pylet.agent.kubelet.volumes.files import config_map_files, own_files, secret_files, show
from pylet.agent.kubelet.volumes.interface import Place, VolumeError, VolumeType
from pylet.agent.kubelet.volumes.payload import DEFAULT_MODE, checked_path
from pylet.api.errors import ApiError
from pylet.api.object import Object, dig

_TOKEN_SECONDS = 3600


class Projected(VolumeType):
    source = "projected"
    plugin = "projected"
    live = True
    read_only = True

    async def mount(self, source: Object, place: Place) -> Path:
        mode = source.get("defaultMode", DEFAULT_MODE)
        files: dict[str, File] = {}
        for projection in source.get("sources") or ():
            for name, value in projection.items():
                if name not in _FILES:
                    raise VolumeError(f"source {name} is not served by this cluster")
                files |= await _FILES[name](value, place, mode)
        return show(place, files, in_memory=True)


async def _token(source: Object, place: Place, mode: int) -> dict[str, File]:
    try:
        status, renew_at = await place.references.token(
            place.pod, source.get("audience", ""), source.get("expirationSeconds", _TOKEN_SECONDS)
        )
    except ApiError as refused:
        raise VolumeError(f"failed to fetch token: {refused.message}") from refused
    place.again_at(renew_at)
    user = _only_user(place.pod)
    if user is not None or place.fs_group is not None:
        mode = 0o600  # as upstream: for the one user of all containers, and the pod's group, alone
    return {checked_path(source["path"]): File(status["token"].encode(), mode, user)}


def _only_user(pod: Object) -> int | None:
    containers = pod["spec"]["containers"] + (pod["spec"].get("initContainers") or [])
    default = dig(pod, "spec", "securityContext", "runAsUser")
    users = {dig(container, "securityContext", "runAsUser", default=default) for container in containers}
    return users.pop() if len(users) == 1 else None


_FILES = {
    "configMap": config_map_files,
    "secret": secret_files,
    "downwardAPI": own_files,
    "serviceAccountToken": _token,
}

VOLUME = Projected()
