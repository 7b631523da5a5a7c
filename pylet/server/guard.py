"""Who asks, and what they may: all of authentication and authorization, put together for one registry."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from pylet.aio.clock import Clock
from pylet.api import kinds
from pylet.api.errors import ApiError
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.tokenrequest import KIND as TOKEN_REQUEST
from pylet.api.object import Key, Object
from pylet.server import optional
from pylet.server.admission.dynamic import plugins as dynamic
from pylet.server.admission.dynamic.cluster import Cluster
from pylet.server.auth import claim_status, escalation, signers
from pylet.server.auth.authenticate import AUTHENTICATED, BOOTSTRAPPERS, Authenticator
from pylet.server.auth.authorize import Authorizer
from pylet.server.auth.expressions import ask_for
from pylet.server.auth.remote import Outside
from pylet.server.auth.reviews import Reviews
from pylet.server.auth.token_requests import TokenRequests
from pylet.server.auth.tokens import Tokens
from pylet.server.config import ServerConfig
from pylet.server.crd.conversion import Converter
from pylet.server.credentials import Credentials
from pylet.server.loopback import Loopback
from pylet.server.pki import Pki
from pylet.server.registry import Registry, Request, User
from pylet.server.registry.versions import shape_of
from pylet.server.webhooks import WebhookClient

log = logging.getLogger(__name__)

_AUDIENCE = "https://kubernetes.default.svc.{domain}"
_REVIEWS = ("authentication.k8s.io", "authorization.k8s.io")
Answers: TypeAlias = dict[tuple[str, str], Callable[[Request, Object], Awaitable[Object]]]


@dataclass(frozen=True, slots=True)
class Guard:
    outside: Outside
    tokens: Tokens
    authenticator: Authenticator
    authorizer: Authorizer
    reviews: Reviews
    token_requests: TokenRequests


def guard(config: ServerConfig, registry: Registry, pki: Pki, join: Iterable[tuple[str, str]], clock: Clock) -> Guard:
    """`join` are the names and secrets of tokens that nodes join with. Raises: Unusable."""
    audience = _AUDIENCE.format(domain=config.cluster_domain)
    tokens = Tokens(pki.service_account, audience, clock.now)
    outside = optional.outside(config, audience, clock)
    authorizer = Authorizer(registry, outside.chain)
    static = {secret: User(f"system:bootstrap:{name}", (BOOTSTRAPPERS, AUTHENTICATED)) for name, secret in join}
    static |= outside.static
    authenticator = Authenticator(
        registry,
        tokens,
        (audience,),
        static,
        clock.now,
        outside.sources,
        outside.anonymous_at,
        partial(_note_use, Loopback(registry, manager="kube-apiserver")),
    )
    reviews = Reviews(registry, authenticator, authorizer)
    token_requests = TokenRequests(registry, tokens, (audience,), clock.now)
    return Guard(outside, tokens, authenticator, authorizer, reviews, token_requests)


async def _note_use(client: Loopback, secret: Key, uid: str, day: str) -> None:
    """That the token in a Secret was used on that day."""
    labels = {"kubernetes.io/legacy-token-last-used": day}
    try:
        await client.patch(SECRET, secret, {"metadata": {"uid": uid, "labels": labels}})
    except ApiError as failed:
        log.error("cannot note that the token of %s was used: %s", secret, failed.message)


def extend_admission(
    registry: Registry,
    authorizer: Authorizer,
    webhooks: WebhookClient,
    convert: Converter,
    credentials: Mapping[str, Credentials],
) -> None:
    """With what asks the authorizer: escalation and signers, webhooks and policies; `credentials` are by plugin."""
    ask = partial(ask_for, authorizer)
    around = Cluster(registry.load_table, registry.kinds, convert, webhooks, ask, shape_of, credentials)
    registry.admission.append(escalation.plugin(authorizer))
    registry.admission.extend_before_last((*signers.plugins(authorizer), claim_status.plugin(authorizer)))
    registry.admission.extend_before_last(dynamic.plugins(around, registry.table, registry.admission.changed))


def answers(registry: Registry, guarded: Guard) -> Answers:
    """Creates that store nothing, as loopback clients ask for them."""

    async def token(request: Request, body: Object) -> Object:
        await registry.admit(request, body, TOKEN_REQUEST)
        return guarded.token_requests.answer(request.key, body)

    async def review(request: Request, body: Object) -> Object:
        await registry.admit(request, body, request.kind)
        return await guarded.reviews.answer(request.kind, body, request.user, request.key.namespace)

    found: Answers = {(kind.plural, ""): review for kind in kinds.all_kinds() if kind.group in _REVIEWS and kind.verbs}
    return {**found, ("serviceaccounts", "token"): token}
