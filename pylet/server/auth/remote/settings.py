"""From flags and files to those who are asked. Raises: BadSettings."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain as chain_of
from pathlib import Path

from pylet.aio.clock import Clock
from pylet.api.object import Object
from pylet.client.kubeconfig import KubeconfigError
from pylet.server.auth import jws
from pylet.server.auth.authenticate import groups_of
from pylet.server.auth.authorize import Chain
from pylet.server.auth.remote import Outside, TokenSource, chain, counted, issuers
from pylet.server.auth.remote.access_webhook import Counted
from pylet.server.auth.remote.asking import Asker
from pylet.server.auth.remote.following import FollowedFile, Unfit
from pylet.server.auth.remote.oidc import Issuer
from pylet.server.auth.remote.token_webhook import TokenWebhook
from pylet.server.config import ServerConfig
from pylet.server.registry import User


class BadSettings(ValueError):
    """Which file or flag is wrong, and what about it."""


def outside(config: ServerConfig, audience: str, clock: Clock) -> Outside:
    """`audience` is the server's own, and its issuer."""
    asker = Asker(clock)
    static = {} if config.token_auth_file is None else dict(static_tokens(config.token_auth_file))
    authentication, followed = _authentication(config, audience)
    algorithms = jws.ALGORITHMS if config.authentication_config is not None else config.oidc_signing_algs or ("RS256",)
    tokens = counted.Counted()
    make = partial(Issuer, asker=asker, own_audiences=(audience,), now=clock.now, algorithms=algorithms, counted=tokens)
    believed = issuers.Issuers(authentication, make, (audience,), tokens)
    files = [FollowedFile(*followed, believed.change, clock)] if followed is not None else []
    sources: list[TokenSource] = [believed]
    if (file := config.authentication_token_webhook_config_file) is not None:
        version = config.authentication_token_webhook_version
        with _about("--authentication-token-webhook-config-file", file):
            sources.append(TokenWebhook(chain.endpoint(file), asker, clock, version, (audience,)))
    configured = _chain(config, asker, clock, files)
    return Outside(
        sources,
        Chain() if configured is None else configured.chain,
        static,
        asker.close,
        issuers.anonymous_at(authentication),
        files,
        lambda: chain_of(tokens.lines(), (Counted() if configured is None else configured.counted).lines()),
    )


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


@contextmanager
def _about(flag: str, file: Path | None = None) -> Iterator[None]:
    where = flag if file is None else f"{flag} {file}"
    try:
        yield
    except (OSError, Unfit, KubeconfigError) as bad:
        raise BadSettings(f"{where}: {bad}") from bad


def _authentication(config: ServerConfig, own: str) -> tuple[Object, tuple[Path, str, bytes] | None]:
    """An AuthenticationConfiguration, and the file to follow that has it."""
    file = config.authentication_config
    if file is not None and config.oidc_issuer_url:
        raise BadSettings("--authentication-config and --oidc-… are mutually exclusive")
    if file is not None:
        with _about("--authentication-config", file):
            raw = file.read_bytes()
            return issuers.read(raw, (own,)), (file, "authentication", raw)
    if not config.oidc_issuer_url:
        return {}, None
    found = {"jwt": [_of_flags(config)]}
    with _about("--oidc-issuer-url"):
        issuers.check(found, (own,))
    return found, None


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
        with _about("--oidc-ca-file", config.oidc_ca_file):
            issuer["certificateAuthority"] = config.oidc_ca_file.read_text()
    mappings: Object = {"username": {"claim": claim, "prefix": "" if prefix == "-" else prefix}}
    if config.oidc_groups_claim:
        mappings["groups"] = {"claim": config.oidc_groups_claim, "prefix": config.oidc_groups_prefix}
    required = [text.partition("=") for text in config.oidc_required_claim]
    rules = [{"claim": name, "requiredValue": value} for name, _, value in required]
    return {"issuer": issuer, "claimMappings": mappings, "claimValidationRules": rules}


def _chain(config: ServerConfig, asker: Asker, clock: Clock, files: list[FollowedFile]) -> chain.ConfiguredChain | None:
    """None for the server's own; a file that says it is added to `files`."""
    file, webhook = config.authorization_config, config.authorization_webhook_config_file
    if file is not None and webhook is not None:
        raise BadSettings("--authorization-config and --authorization-webhook-… are mutually exclusive")
    if file is not None:
        with _about("--authorization-config", file):
            raw = file.read_bytes()
            configured = chain.ConfiguredChain(chain.read(raw), asker, clock)
        files.append(FollowedFile(file, "authorization", raw, configured.change, clock))
        return configured
    if webhook is None:
        return None
    with _about("--authorization-webhook-config-file", webhook):
        return chain.ConfiguredChain(chain.of_webhook(webhook, config.authorization_webhook_version), asker, clock)
