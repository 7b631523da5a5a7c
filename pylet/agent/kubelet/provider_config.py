"""Which programs know credentials for which images: the kubelet's CredentialProviderConfig.

Source: upstream `pkg/credentialprovider/plugin/config.go`, messages included.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.config_values import BadConfig, span
from pylet.api import causes
from pylet.api.object import Object

_VERSIONS = tuple(f"kubelet.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_V1 = "credentialprovider.kubelet.k8s.io/v1"
_PROTOCOLS = (_V1, f"{_V1}alpha1", f"{_V1}beta1")
_FIELDS = {"name", "matchImages", "defaultCacheDuration", "apiVersion", "args", "env", "tokenAttributes"}
_TOKEN_FIELDS = {
    "serviceAccountTokenAudience",
    "cacheType",
    "requireServiceAccount",
    "requiredServiceAccountAnnotationKeys",
    "optionalServiceAccountAnnotationKeys",
}


@dataclass(frozen=True, slots=True)
class TokenUse:
    """The provider is shown a token of the pod's ServiceAccount, and some of the account's annotations."""

    audience: str
    is_required: bool
    by_token: bool
    """What it answers is for one token alone, not for all of the account."""
    required_annotations: tuple[str, ...]
    optional_annotations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    name: str
    api_version: str
    match_images: tuple[str, ...]
    cached_for: timedelta
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    token: TokenUse | None = None


def read(path: Path) -> list[ProviderConfig]:
    """Of a file, or of all in a directory by their names. Raises: BadConfig, OSError."""
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".json", ".yaml", ".yml") and file.is_file())
        if not files:
            raise BadConfig(f'no configuration files found in directory "{path}"')
    found: list[ProviderConfig] = []
    hashed = hashlib.sha256()
    for file in files:
        raw = file.read_bytes()
        hashed.update(len(raw).to_bytes(8, "big") + raw)
        try:
            found += parse(yaml.safe_load(raw))
        except (BadConfig, yaml.YAMLError) as bad:
            raise BadConfig(f'error decoding config "{file}": {bad}') from bad
    names = [provider.name for provider in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadConfig(f'duplicate provider name "{twice[0]}" found in configuration file(s)')
    counters.PROVIDER_CONFIG.add(f"sha256:{hashed.hexdigest()}")
    return found


def parse(found: Any) -> list[ProviderConfig]:
    """Raises: BadConfig."""
    if not isinstance(found, dict) or found.get("kind") != "CredentialProviderConfig":
        raise BadConfig("is no CredentialProviderConfig")
    if found.get("apiVersion") not in _VERSIONS:
        raise BadConfig(f'no kind "CredentialProviderConfig" is registered for version "{found.get("apiVersion")}"')
    _insist_on(found, {"kind", "apiVersion", "providers"}, "")
    if not found.get("providers"):
        raise BadConfig("providers: Required value: at least 1 item in plugins is required")
    try:
        return [_provider(provider) for provider in found["providers"]]
    except (TypeError, AttributeError, KeyError) as bad:
        raise BadConfig(f"providers: {bad}") from bad


def _provider(found: Object) -> ProviderConfig:
    _insist_on(found, _FIELDS, "providers.")
    name, protocol = found.get("name", ""), found.get("apiVersion", "")
    for part, words in (("/", "'/'"), (" ", "spaces")):
        if part in name:
            raise BadConfig(f'providers.name: Invalid value: "{name}": provider name cannot contain {words}')
    if name in ("", ".", ".."):
        raise BadConfig(f"providers.name: Invalid value: \"{name}\": provider name cannot be '{name}'")
    if protocol not in _PROTOCOLS:
        raise BadConfig(str(causes.not_supported("providers.apiVersion", protocol, _PROTOCOLS)))
    if not found.get("matchImages"):
        raise BadConfig("providers.matchImages: Required value: at least 1 item in matchImages is required")
    if found.get("defaultCacheDuration") is None:
        raise BadConfig("providers.defaultCacheDuration: Required value")
    attributes = found.get("tokenAttributes")
    if attributes is not None and protocol != _V1:
        words = f"tokenAttributes is only supported for {_V1} API version"
        raise BadConfig(f"providers.tokenAttributes: Forbidden: {words}")
    try:
        cached_for = span(found["defaultCacheDuration"])
    except ValueError as bad:
        raise BadConfig(f"providers.defaultCacheDuration: {bad}") from bad
    return ProviderConfig(
        name,
        protocol,
        tuple(found["matchImages"]),
        cached_for,
        tuple(found.get("args") or ()),
        tuple((each["name"], each["value"]) for each in found.get("env") or ()),
        None if attributes is None else _token_use(attributes),
    )


def _token_use(found: Object) -> TokenUse:
    field = "providers.tokenAttributes"
    _insist_on(found, _TOKEN_FIELDS, f"{field}.")
    for name in ("serviceAccountTokenAudience", "requireServiceAccount", "cacheType"):
        if found.get(name) in (None, ""):
            raise BadConfig(f"{field}.{name}: Required value")
    kinds = ("ServiceAccount", "Token")
    if found["cacheType"] not in kinds:
        raise BadConfig(str(causes.not_supported(f"{field}.cacheType", found["cacheType"], kinds)))
    required = tuple(found.get("requiredServiceAccountAnnotationKeys") or ())
    optional = tuple(found.get("optionalServiceAccountAnnotationKeys") or ())
    if required and not found["requireServiceAccount"]:
        words = "requireServiceAccount cannot be false when requiredServiceAccountAnnotationKeys is set"
        raise BadConfig(f"{field}.requiredServiceAccountAnnotationKeys: Forbidden: {words}")
    if set(required) & set(optional):
        raise BadConfig(f"{field}: Invalid value: annotation keys cannot be both required and optional")
    audience, by_token = found["serviceAccountTokenAudience"], found["cacheType"] == "Token"
    return TokenUse(audience, bool(found["requireServiceAccount"]), by_token, required, optional)


def _insist_on(found: Object, known: set[str], where: str) -> None:
    if unknown := [name for name in found if name not in known]:
        raise BadConfig(f'unknown field "{where}{unknown[0]}"')
