"""What an AdmissionConfiguration makes of admission: plugins that go by it, and who the server is to webhooks.

Source: apiserver pkg/admission/{config,plugins}.go.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from pylet.api.configuration import admission
from pylet.api.configuration.decoding import BadConfiguration
from pylet.client.kubeconfig import KubeconfigError
from pylet.server.admission import pod_security, resource_quota
from pylet.server.admission.dynamic.webhooks import MUTATING, VALIDATING
from pylet.server.admission.interface import Plugin
from pylet.server.credentials import Credentials, FromKubeconfig

log = logging.getLogger(__name__)


def _credentials(raw: bytes) -> Credentials | None:
    file = admission.webhooks(raw)
    return FromKubeconfig(Path(file)) if file else None


_READ: Mapping[str, Any] = {
    "PodSecurity": lambda raw: pod_security.plugin(admission.pod_security(raw)),
    "MutatingAdmissionPolicy": partial(admission.policies, kind="MutatingAdmissionPolicyConfiguration"),
    MUTATING: _credentials,
    "ValidatingAdmissionPolicy": partial(admission.policies, kind="ValidatingAdmissionPolicyConfiguration"),
    VALIDATING: _credentials,
    "ResourceQuota": lambda raw: resource_quota.plugin(admission.limited_resources(raw)),
}
"""What each plugin that has a configuration makes of it, in upstream's order."""


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """`credentials` are by the name of the plugin that calls."""

    plugins: Mapping[str, Plugin]
    credentials: Mapping[str, Credentials]

    def chain(self, usual: Iterable[Plugin]) -> tuple[Plugin, ...]:
        return tuple(self.plugins.get(plugin.name, plugin) for plugin in usual)


def read(file: Path) -> AdmissionSettings:
    """Raises: BadConfiguration."""
    try:
        entries = admission.plugins(file.read_bytes())
    except OSError as failed:
        why = f'unable to read admission control configuration from "{file}" [open {file}: {_said(failed)}]'
        raise BadConfiguration(f"failed to read plugin config: {why}") from failed
    except BadConfiguration as bad:
        raise BadConfiguration(f"failed to read plugin config: {bad}") from bad
    made: dict[str, Any] = {}
    for name, read in _READ.items():
        if name in entries and (raw := _text(entries[name], file.parent)) is not None:
            try:
                made[name] = read(raw)
            except (BadConfiguration, KubeconfigError) as bad:
                says = "failed to initialize" if isinstance(bad, admission.Unsound) else "couldn't init"
                raise BadConfiguration(f'{says} admission plugin "{name}": {bad}') from bad
    if passed_over := sorted(entries.keys() - _READ.keys()):
        log.warning("nothing reads what %s configures for %s", file, ", ".join(passed_over))
    plugins = {name: plugin for name, plugin in made.items() if isinstance(plugin, Plugin)}
    credentials = {name: made[name] for name in (MUTATING, VALIDATING) if made.get(name) is not None}
    return AdmissionSettings(plugins, credentials)


def _text(entry: dict[str, Any], folder: Path) -> bytes | None:
    """None for a plugin that is only named. Raises: BadConfiguration."""
    if entry.get("configuration") is not None:
        return orjson.dumps(entry["configuration"], option=orjson.OPT_SORT_KEYS)
    if not entry.get("path"):
        return None
    path: Path = folder / entry["path"]
    try:
        return path.read_bytes()
    except OSError as failed:
        why = f"Couldn't open admission plugin configuration {path}: {_said(failed)}"
        raise BadConfiguration(why) from failed


def _said(failed: OSError) -> str:
    return (failed.strerror or "").lower()
