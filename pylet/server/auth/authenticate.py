"""Who sends a request: a client certificate, a ServiceAccount's token, a join or bootstrap token, or nobody known.

A credential that is given and wrong is refused; only its absence makes the user anonymous. Certificates are verified by
the TLS handshake before anything here sees them, but for their dates.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pylet.aio import certificate
from pylet.aio.prometheus import counts
from pylet.api.errors import Unauthorized
from pylet.api.jointoken import bootstrap_parts
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object, is_terminating
from pylet.api.timestamps import parse
from pylet.client.view import Entry
from pylet.server import audit
from pylet.server.auth.tokens import BadToken, Bound, Identity, Tokens
from pylet.server.registry import Registry, User
from pylet.server.warned import warn

if TYPE_CHECKING:
    from pylet.server.auth.remote import TokenSource

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
BOOTSTRAPPERS = "system:bootstrappers"
LATE_NODES = "pylet:late-nodes"
"""Nodes whose certificate is over."""
_NODE, _NODES = "system:node:", "system:nodes"
_SYSTEM = "kube-system"
_GENERATED = (
    "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated "
    "secret-based tokens."
)
_INVALID_SINCE, _LAST_USED = "kubernetes.io/legacy-token-invalid-since", "kubernetes.io/legacy-token-last-used"
_LEEWAY = timedelta(minutes=1)  # clocks differ; go-jose's default
_BOUND_KINDS = {"pod": POD, "secret": SECRET, "node": NODE}

CREDENTIAL = "authentication.kubernetes.io/credential-id"
_UID = "1.3.6.1.4.1.57683.2"  # of a user's UID in a certificate's subject
Subject = tuple[tuple[tuple[str, str], ...], ...]
"""A certificate's subject as `ssl` gives it."""


NoteUse = Callable[[Key, str, str], Awaitable[None]]
"""Of a Secret, its UID and the day, as in 2026-01-02."""


async def _unnoted(secret: Key, uid: str, day: str) -> None:
    """Nobody wants to know."""


class Authenticator:
    """`static` are bearer tokens that never expire, by their text: the node join secret. `others` are asked about
    tokens nobody here knows; only `anonymous_at`, if given, may somebody say nothing of who he is. `note_use` keeps at
    a Secret on which day its token was used."""

    def __init__(
        self,
        registry: Registry,
        tokens: Tokens,
        audiences: Sequence[str],
        static: Mapping[str, User],
        now: Callable[[], datetime],
        others: Sequence[TokenSource] = (),
        anonymous_at: frozenset[str] | None = None,
        note_use: NoteUse = _unnoted,
    ) -> None:
        self._registry = registry
        self._tokens = tokens
        self._audiences = frozenset(audiences)
        self._static = dict(static)
        self._now = now
        self._valid_tokens = self._stale_tokens = 0
        self._others = others
        self._anonymous_at = anonymous_at
        self._note_use = note_use
        self._used: dict[Key, str] = {}
        self._of_secrets: Counter[str] = Counter()

    def late_user(self, shown: Mapping[str, Any]) -> User | None:
        """Who comes with a certificate that is over: a node of this cluster, which may ask for its next one and nothing
        else; None where it is not. So a machine that was off for a year comes back by itself, unless its Node has been
        deleted. Raises: Unauthorized."""
        if certificate.moment(shown["notAfter"]) >= self._now():
            return None
        user = certificate_user(shown["subject"])
        if user is None or _NODES not in user.groups or not user.name.startswith(_NODE):
            raise Unauthorized
        if Key("", user.name.removeprefix(_NODE)) not in self._registry.table(NODE).entries:
            raise Unauthorized
        return User(user.name, (LATE_NODES, AUTHENTICATED))

    async def user(self, authorization: str | None, path: str, *, is_doubtful: bool) -> User:
        """`authorization` is the header; `is_doubtful` who showed a certificate that nobody is known by.

        Raises: Unauthorized.
        """
        scheme, token = [*(authorization or "").strip().split(" "), ""][:2]  # none of it: spaces before a token
        if scheme.lower() != "bearer" or not token:
            if is_doubtful or (self._anonymous_at is not None and path not in self._anonymous_at):
                raise Unauthorized
            return ANONYMOUS
        try:
            return (await self.known(token, self._audiences))[0]
        except BadToken as bad:
            raise Unauthorized from bad

    def metrics(self) -> Iterator[str]:
        """Of tokens that last longer than they should, as pods' do."""
        for name, number in (("valid", self._valid_tokens), ("stale", self._stale_tokens)):
            yield from counts(f"serviceaccount_{name}_tokens_total", f"Uses of {name} tokens.", [({}, number)])
        legacy = self._of_secrets["legacy_manual"] + self._of_secrets["legacy_auto"]
        yield from counts("serviceaccount_legacy_tokens_total", "Uses of tokens that never expire.", [({}, legacy)])
        for name in ("legacy_manual", "legacy_auto", "invalid_legacy_auto"):
            told = f"serviceaccount_{name}_token_uses_total"
            yield from counts(told, "Uses of Secrets' tokens.", [({}, self._of_secrets[name])])

    async def known(self, token: str, audiences: frozenset[str] | None = None) -> tuple[User, tuple[str, ...]]:
        """As `token_user`, and others are asked where nobody here knows the token. Raises: BadToken."""
        try:
            found: tuple[User, tuple[str, ...]] | BadToken = self.token_user(token, audiences)
        except BadToken as bad:
            found = bad
        if self._used:
            used, self._used = self._used, {}
            for secret, uid in used.items():
                await self._note_use(secret, uid, _day(self._now()))
        if not isinstance(found, BadToken):
            return found
        why = found
        for other in self._others:
            try:
                known = await other.user(token, audiences or self._audiences)
            except BadToken as bad:
                why = bad
                continue
            if known is not None:
                return known
        raise why

    def token_user(self, token: str, audiences: frozenset[str] | None = None) -> tuple[User, tuple[str, ...]]:
        """The user a bearer token stands for, and which of `audiences` it is meant for. Raises: BadToken."""
        wanted = audiences or self._audiences
        if token.count(".") == 2:
            identity = self._tokens.verify(token)
            given = tuple(self._audiences) if identity.secret else identity.audiences
            meant = tuple(audience for audience in given if audience in wanted)
            if not meant:
                told, targets = (_go_list(some) for some in (given, sorted(wanted)))
                raise BadToken(f"token audiences {told} is invalid for the target audiences {targets}")
            return self._account_of_secret(identity, token) if identity.secret else self._account(identity), meant
        meant = tuple(self._audiences & wanted)
        if not meant:
            raise BadToken
        for known, user in self._static.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return user, meant
        return self._bootstrap(token), meant

    def _account(self, identity: Identity) -> User:
        namespace = identity.account.namespace
        self._check_account(identity)
        extra: dict[str, Sequence[str]] = {CREDENTIAL: (f"JTI={identity.id}",)}
        for bound in identity.bound:
            self._check_bound(namespace, bound, is_only=len(identity.bound) == 1)
            if bound.kind != "secret":
                extra[f"authentication.kubernetes.io/{bound.kind}-name"] = (bound.name,)
                if bound.uid:
                    extra[f"authentication.kubernetes.io/{bound.kind}-uid"] = (bound.uid,)
        if not identity.warn_after:
            return _account_user(identity, extra)
        late = int(self._now().timestamp() - identity.warn_after)
        if late <= 0:
            self._valid_tokens += 1
        else:
            self._stale_tokens += 1
            subject = f"system:serviceaccount:{namespace}:{identity.account.name}"
            says = f"subject: {subject}, seconds after warning threshold: {late}"
            audit.annotate("authentication.k8s.io/stale-token", says)
        return _account_user(identity, extra)

    def _account_of_secret(self, identity: Identity, token: str) -> User:
        """Source: pkg/serviceaccount/legacy.go."""
        namespace = identity.account.namespace
        entry = self._registry.table(SECRET).entries.get(Key(namespace, identity.secret))
        if entry is None or is_terminating(entry.object):
            raise BadToken("Token has been invalidated")
        held = _decoded((entry.object.get("data") or {}).get("token", ""))
        if not hmac.compare_digest(held.encode(), token.encode()):
            raise BadToken("Token does not match server's copy")
        self._check_account(identity)
        if entry.labels.get(_LAST_USED) not in (_day(self._now()), _day(self._now() + timedelta(days=1))):
            self._used[entry.key] = entry.uid
        if entry.labels.get(_INVALID_SINCE):
            self._of_secrets["invalid_legacy_auto"] += 1
            audit.annotate("authentication.k8s.io/legacy-token-invalidated", f"{identity.secret}/{namespace}")
            raise BadToken(
                f"the token in secret {namespace}/{identity.secret} for service account "
                f"{namespace}/{identity.account.name} has been marked invalid. Use tokens from the TokenRequest API or "
                f"manually created secret-based tokens, or remove the '{_INVALID_SINCE}' label from the secret to "
                "temporarily allow use of this token"
            )
        account = self._registry.table(SERVICE_ACCOUNT).entries[identity.account].object
        is_generated = any(each.get("name") == identity.secret for each in account.get("secrets") or ())
        how = "autogenerated" if is_generated else "manual"
        if is_generated:
            warn(_GENERATED)
        self._of_secrets["legacy_auto" if is_generated else "legacy_manual"] += 1
        audit.annotate(f"authentication.k8s.io/legacy-token-{how}-secret", identity.secret)
        return _account_user(identity, {})

    def _check_account(self, identity: Identity) -> None:
        namespace, name = identity.account
        account = self._registry.table(SERVICE_ACCOUNT).entries.get(identity.account)
        if account is None:
            raise BadToken(f'serviceaccounts "{name}" not found')
        if account.uid != identity.uid:
            raise BadToken(f"service account UID ({account.uid}) does not match claim ({identity.uid})")
        if self._is_past(account):
            raise BadToken(f"service account {namespace}/{name} has been deleted")

    def _is_past(self, entry: Entry) -> bool:
        """Whether the object should have been gone for a while: a pod's token works until its grace is over."""
        deleted = entry.object["metadata"].get("deletionTimestamp")
        return deleted is not None and parse(deleted) < self._now() - _LEEWAY

    def _check_bound(self, namespace: str, bound: Bound, *, is_only: bool) -> None:
        if bound.kind == "node" and not is_only:
            return  # says where the pod ran; only the pod binds
        key = Key("" if bound.kind == "node" else namespace, bound.name)
        found = self._registry.table(_BOUND_KINDS[bound.kind]).entries.get(key)
        if found is None or self._is_past(found):
            raise BadToken("service account token has been invalidated")
        if found.uid != bound.uid:
            what = f"service account {'secret' if bound.kind == 'secret' else bound.kind} ref claim ({bound.uid})"
            raise BadToken(f"{bound.kind} UID ({found.uid}) does not match {what}")

    def _bootstrap(self, token: str) -> User:
        """Source: plugin/pkg/auth/authenticator/token/bootstrap/bootstrap.go."""
        parts = bootstrap_parts(token)
        if parts is None:
            raise BadToken
        id_, secret = parts
        entry = self._registry.table(SECRET).entries.get(Key(_SYSTEM, f"bootstrap-token-{id_}"))
        found = entry.object if entry is not None else {}
        data = {name: _decoded(value) for name, value in (found.get("data") or {}).items()}
        if (
            found.get("type") != "bootstrap.kubernetes.io/token"
            or data.get("token-id") != id_
            or not hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode())
            or data.get("usage-bootstrap-authentication") != "true"
        ):
            raise BadToken
        if self._is_expired(data.get("expiration", "")):
            raise BadToken
        more = [group for group in data.get("auth-extra-groups", "").split(",") if group]
        return User(f"system:bootstrap:{id_}", (BOOTSTRAPPERS, *more, AUTHENTICATED))

    def _is_expired(self, expiration: str) -> bool:
        if not expiration:
            return False
        try:
            return parse(expiration) <= self._now()
        except ValueError:
            return True


def certificate_user(subject: Subject, encoded: bytes = b"") -> User | None:
    """Common name, organizations and, of the certificate itself, its fingerprint; None for one that names nobody, or
    several UIDs.

    Source: apiserver pkg/authentication/request/x509 (CommonNameUserConversion).
    """
    names = [pair for group in subject for pair in group]
    common = [value for name, value in names if name == "commonName"]
    if not common or not common[-1]:  # the last one counts, as Go reads it
        return None
    groups = tuple(value for name, value in names if name == "organizationName")
    uids = [value for name, value in names if name == _UID]
    if len(uids) > 1 or "" in uids:
        return None
    extra = {CREDENTIAL: (f"X509SHA256={hashlib.sha256(encoded).hexdigest()}",)}
    return User(common[-1], groups_of(common[-1], groups), "".join(uids), extra)


def groups_of(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Of somebody known, who may be known for nobody. Source: apiserver pkg/authentication/group."""
    is_settled = name == ANONYMOUS.name or AUTHENTICATED in groups or UNAUTHENTICATED in groups
    return groups if is_settled else (*groups, AUTHENTICATED)


def _account_user(identity: Identity, extra: Mapping[str, Sequence[str]]) -> User:
    namespace, name = identity.account
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups, identity.uid, extra)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _go_list(words: Iterable[str]) -> str:
    quoted = " ".join(f'"{word}"' for word in words)
    return f"[{quoted}]"


def user_info(user: User) -> Object:
    """A user as TokenReview and SelfSubjectReview show one."""
    info: Object = {}
    if user.name:
        info["username"] = user.name
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {name: list(user.extra[name]) for name in sorted(user.extra)}
    return info


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
