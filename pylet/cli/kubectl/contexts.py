"""Changes to the contexts of kubeconfig files, each in the file where client-go makes it.

Source: client-go `tools/clientcmd/config.go`, ModifyConfig.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pylet.api.object import Object
from pylet.cli.kubectl.documents import to_yaml
from pylet.client import kubeconfig

_LISTS = ("clusters", "contexts", "users")


def use(files: Sequence[Path], name: str) -> None:
    """Makes a context the current one. Raises: KubeconfigError, OSError."""
    file = _default(files)
    _write(file, {**_read(file), "current-context": name})


def put(files: Sequence[Path], name: str, fields: Mapping[str, str]) -> bool:
    """Sets fields of a context, which is made where there is none; whether there was.

    Raises: KubeconfigError, OSError.
    """
    for file in files:
        config = _read(file)
        for entry in config.get("contexts") or ():
            if entry["name"] == name:
                entry["context"] = {**(entry.get("context") or {}), **fields}
                _write(file, config)
                return True
    file = _default(files)
    config = _read(file)
    entry = {"name": name, "context": {"cluster": "", "user": "", **fields}}
    _write(file, {**config, "contexts": [*(config.get("contexts") or ()), entry]})
    return False


def _default(files: Sequence[Path]) -> Path:
    """Where what is new is written: the first file there is, else the last that is named."""
    return next((file for file in files if file.exists()), files[-1])


def _read(file: Path) -> Object:
    return kubeconfig.parse(file, file.read_bytes()) if file.exists() else {}


def _write(file: Path, config: Object) -> None:
    """All or nothing, and for nobody else to read."""
    lists = {each: sorted(config.get(each) or (), key=lambda entry: str(entry["name"])) or None for each in _LISTS}
    document = {"apiVersion": "v1", "kind": "Config", "current-context": "", **config, **lists}
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", delete=False) as new:
        new.write(to_yaml(document))
    os.replace(new.name, file)
