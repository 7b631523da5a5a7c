"""Links by which those who collect logs find them and know whose they are: `/var/log/containers/<pod>_<namespace>_…`.

Source: upstream `pkg/kubelet/kuberuntime/legacy.go` and `kuberuntime_container.go` (startContainer).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from pylet.agent.kubelet.config import log_directory
from pylet.agent.kubelet.settings import Settings
from pylet.api.object import Object

log = logging.getLogger(__name__)

_SUFFIX = ".log"
_MOST_CHARACTERS = 255  # of a file's name


def link(pod: Object, container: str, id_: str, restarts: int, settings: Settings) -> None:
    """To the log of an instance that has begun. A container runs whether or not others find its log."""
    file, path = log_directory(pod, settings) / container / f"{restarts}.log", path_of(pod, container, id_, settings)
    try:
        if file.exists():
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                path.symlink_to(file)
    except OSError as failed:
        log.warning("link to the log %s: %s", file, failed)


def unlink(pod: Object, container: str, id_: str, settings: Settings) -> None:
    with suppress(OSError):
        path_of(pod, container, id_, settings).unlink()


def sweep(log_root: Path) -> None:
    """Take away those whose logs have gone; what leads elsewhere is not ours."""
    for path in _directory(log_root).glob(f"*{_SUFFIX}"):
        with suppress(OSError):
            if path.readlink().is_relative_to(log_root) and not path.exists():
                path.unlink()


def path_of(pod: Object, container: str, id_: str, settings: Settings) -> Path:
    meta = pod["metadata"]
    name = f"{meta['name']}_{meta['namespace']}_{container}-{id_}"
    return _directory(settings.log_root) / f"{name[: _MOST_CHARACTERS - len(_SUFFIX)]}{_SUFFIX}"


def _directory(log_root: Path) -> Path:
    return log_root.parent / "containers"
