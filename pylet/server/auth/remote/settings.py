"""From flags and files to those who are asked. Raises: BadSettings."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pylet.api.object import Object
from pylet.client import kubeconfig
from pylet.server.auth.authenticate import groups_of
from pylet.server.auth.remote import Outside, TokenSource
from pylet.server.auth.remote.asking import Asker
from pylet.server.auth.remote.claims import BadMapping
from pylet.server.auth.remote.oidc import Issuer
from pylet.server.auth.remote.webhooks import AccessWebhook, TokenWebhook
from pylet.server.config import ServerConfig
from pylet.server.registry import User

_KIND = "AuthenticationConfiguration"
_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")

_RULE = dict.fromkeys(("expression", "message"))
_MAPPED = dict.fromkeys(("claim", "prefix", "expression"))
_MAPPINGS = {
    "username": _MAPPED,
    "groups": _MAPPED,
    "uid": dict.fromkeys(("claim", "expression")),
    "extra": [dict.fromkeys(("key", "valueExpression"))],
}
_ISSUER = ("url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy", "egressSelectorType")
_JWT = {
    "issuer": dict.fromkeys(_ISSUER),
    "claimValidationRules": [{**_RULE, "claim": None, "requiredValue": None}],
    "claimMappings": _MAPPINGS,
    "userValidationRules": [_RULE],
}
_ANONYMOUS = {"enabled": None, "conditions": [{"path": None}]}
_SHAPE = {"apiVersion": None, "kind": None, "jwt": [_JWT], "anonymous": _ANONYMOUS}
"""The fields of an AuthenticationConfiguration."""


class BadSettings(ValueError):
    """Which file or flag is wrong, and what about it."""


def outside(config: ServerConfig, audiences: Sequence[str], now: Callable[[], datetime]) -> Outside:
    asker = Asker()
    static = {} if config.token_auth_file is None else dict(static_tokens(config.token_auth_file))
    known = sources(config, asker, audiences, now)
    return Outside(known, judge(config, asker), static, asker.close, anonymous_at(config))


def static_tokens(file: Path) -> Iterator[tuple[str, User]]:
    """Lines of `token,user,uid,"group1,group2"`. Source: apiserver plugin token/tokenfile."""
    try:
        rows = list(csv.reader(file.read_text().splitlines(), skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as bad:
        raise BadSettings(f"--token-auth-file {file}: {bad}") from bad
    for number, row in enumerate(rows, 1):
        if not row or row[0].startswith("#"):
            continue
        if len(row) < 3:
            raise BadSettings(f"--token-auth-file {file}: line {number} has fewer than token, user and uid")
        groups = tuple(group.strip() for group in row[3].split(",")) if len(row) > 3 and row[3] else ()
        yield row[0], User(row[1], groups_of(row[1], groups), row[2])


def anonymous_at(config: ServerConfig) -> frozenset[str] | None:
    """The paths for whoever does not say who he is, None for all."""
    anonymous = _configured(config).get("anonymous")
    if anonymous is None:
        return None
    conditions = anonymous.get("conditions") or ()
    if not anonymous.get("enabled"):
        if conditions:
            raise BadSettings(f"{_where(config)}: anonymous.conditions: Invalid value: enabled should be set to true")
        return frozenset()
    return frozenset(one.get("path") or "" for one in conditions) if conditions else None


def sources(
    config: ServerConfig, asker: Asker, audiences: Sequence[str], now: Callable[[], datetime]
) -> list[TokenSource]:
    found: list[TokenSource] = []
    where = _where(config)
    try:
        for at, jwt in enumerate(_configured(config).get("jwt") or ()):
            found.append(Issuer(jwt, f"jwt[{at}]", asker, audiences, now))
        if config.oidc_issuer_url:
            where = "--oidc-issuer-url"
            algorithms = config.oidc_signing_algs or ("RS256",)
            found.append(Issuer(_of_flags(config), "jwt[0]", asker, audiences, now, algorithms))
    except BadMapping as bad:
        raise BadSettings(f"{where}: {bad}") from bad
    if config.authentication_token_webhook_config_file is not None:
        file = config.authentication_token_webhook_config_file
        found.append(TokenWebhook(_endpoint(file, "--authentication-token-webhook-config-file"), asker))
    return found


def judge(config: ServerConfig, asker: Asker) -> AccessWebhook | None:
    file = config.authorization_webhook_config_file
    return None if file is None else AccessWebhook(_endpoint(file, "--authorization-webhook-config-file"), asker)


def _where(config: ServerConfig) -> str:
    return f"--authentication-config {config.authentication_config}"


def _configured(config: ServerConfig) -> Object:
    return {} if config.authentication_config is None else _document(config.authentication_config, _where(config))


def _document(file: Path, where: str) -> Object:
    import yaml

    try:
        document: Any = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as bad:
        raise BadSettings(f"{where}: {bad}") from bad
    if not isinstance(document, dict) or document.get("kind") != _KIND or document.get("apiVersion") not in _VERSIONS:
        raise BadSettings(f"{where}: not an {_KIND} of {_VERSIONS[0]}")
    if unknown := [f'unknown field "{path}"' for path in _unknown(document, _SHAPE, "")]:
        raise BadSettings(f"{where}: strict decoding error: {', '.join(unknown)}")
    return document


def _unknown(value: Any, shape: Any, path: str) -> Iterator[str]:
    """The fields that a configuration does not have: what is misspelt would protect nobody."""
    if isinstance(shape, list) and isinstance(value, list):
        for at, one in enumerate(value):
            yield from _unknown(one, shape[0], f"{path}[{at}]")
    elif isinstance(shape, dict) and isinstance(value, dict):
        for name, one in value.items():
            where = f"{path}.{name}" if path else str(name)
            if name in shape:
                yield from _unknown(one, shape[name], where)
            else:
                yield where


def _of_flags(config: ServerConfig) -> Object:
    """The flags as an entry of `jwt`; a user's name bears its issuer unless it is a mail address."""
    claim, prefix = config.oidc_username_claim, config.oidc_username_prefix
    if prefix is None:
        prefix = "" if claim == "email" else f"{config.oidc_issuer_url}#"
    issuer: Object = {
        "url": config.oidc_issuer_url,
        "audiences": [config.oidc_client_id] if config.oidc_client_id else [],
    }
    if config.oidc_ca_file is not None:
        try:
            issuer["certificateAuthority"] = config.oidc_ca_file.read_text()
        except OSError as bad:
            raise BadSettings(f"--oidc-ca-file {config.oidc_ca_file}: {bad}") from bad
    mappings: Object = {"username": {"claim": claim, "prefix": "" if prefix == "-" else prefix}}
    if config.oidc_groups_claim:
        mappings["groups"] = {"claim": config.oidc_groups_claim, "prefix": config.oidc_groups_prefix}
    required = [text.partition("=") for text in config.oidc_required_claim]
    rules = [{"claim": name, "requiredValue": value} for name, _, value in required]
    return {"issuer": issuer, "claimMappings": mappings, "claimValidationRules": rules}


def _endpoint(file: Path, flag: str) -> kubeconfig.Endpoint:
    try:
        return kubeconfig.endpoint(kubeconfig.load([file], required=True))
    except kubeconfig.KubeconfigError as bad:
        raise BadSettings(f"{flag} {file}: {bad}") from bad
