"""The directories of the local-path provisioner: removed from this node when their volume goes.

The contract is `pylet.server.controllers.local_path`'s: a volume with its finalizer that is being deleted is Released
before its directory goes, and its finalizer after it. Making the directory is hostPath's business.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import suppress
from pathlib import Path

from pylet.api.errors import ApiError, Conflict, NotFound
from pylet.api.kinds.persistentvolume import KIND as PERSISTENT_VOLUME
from pylet.api.object import Object, annotations_of, dig, is_terminating, key_of
from pylet.client.interface import Client, Tables
from pylet.client.view import Entry

log = logging.getLogger(__name__)

NAME = "pylet.io/local-path"
_NODE = "pylet.io/node"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_RETRY_SECONDS = 10.0


class LocalPath:
    """Runs until cancelled; only volumes that name `node_name` concern it."""

    def __init__(self, client: Client, tables: Tables, node_name: str) -> None:
        self._client = client
        self._tables = tables
        self._node_name = node_name
        self._due: list[Object] = []
        self._wake = asyncio.Event()

    async def run(self) -> None:
        table = await self._tables.table(PERSISTENT_VOLUME, labels=f"{_NODE}={self._node_name}")
        silence = table.listen(self._changed)
        for entry in list(table.entries.values()):
            self._changed(None, entry)
        try:
            while True:
                self._wake.clear()
                due, self._due = self._due, []
                self._due += [volume for volume in due if not await self._dispose(volume)]
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _RETRY_SECONDS if self._due else None)
        finally:
            silence()

    def _changed(self, before: Entry | None, after: Entry | None) -> None:
        if after is not None and NAME.encode() in after.raw and is_due(after.object, self._node_name):
            self._due.append(after.object)
            self._wake.set()

    async def _dispose(self, volume: Object) -> bool:
        """Whether nothing is left to do."""
        try:
            if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
                await asyncio.to_thread(_remove, directory_of(volume))
            finalizers = [name for name in volume["metadata"]["finalizers"] if name != NAME]
            meta = {"finalizers": finalizers, "resourceVersion": volume["metadata"]["resourceVersion"]}
            await self._client.patch(PERSISTENT_VOLUME, key_of(volume), {"metadata": meta})
        except (NotFound, Conflict):
            return True  # gone, or changed: then it comes again
        except (ApiError, OSError) as failed:
            log.warning("remove volume %s: %s", volume["metadata"]["name"], failed)
            return False
        return True


def is_due(volume: Object, node_name: str) -> bool:
    """Whether this node must now let go of the volume."""
    notes = annotations_of(volume)
    is_ours = notes.get(_PROVISIONED_BY) == NAME and notes.get(_NODE) == node_name
    is_free = dig(volume, "status", "phase") in ("Released", "Failed")
    return is_ours and is_free and is_terminating(volume) and NAME in (volume["metadata"].get("finalizers") or ())


def directory_of(volume: Object) -> Path:
    """Raises: OSError for what the provisioner never made: whoever writes volumes must not remove files of the node."""
    directory = Path(volume["spec"]["hostPath"]["path"])
    if not directory.name.startswith(f"{volume['metadata']['name']}_") or ".." in directory.parts:
        raise OSError(f"{directory} is not a directory of the local-path provisioner")
    return directory


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
