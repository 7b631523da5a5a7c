"""ID tokens of an OpenID Connect issuer: verified with the keys it publishes, which are read again when one is unknown.

Source: apiserver plugin/pkg/authenticator/token/oidc.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pylet.aio.certificate import trusting
from pylet.api.object import Object
from pylet.api.schema import Mismatch
from pylet.server.auth import jws
from pylet.server.auth.authenticate import groups_of
from pylet.server.auth.remote import Known
from pylet.server.auth.remote.asking import Asker, NoAnswer, decoded
from pylet.server.auth.remote.claims import ClaimMappings
from pylet.server.auth.remote.counted import Counted
from pylet.server.auth.tokens import BadToken
from pylet.server.registry import User

log = logging.getLogger(__name__)

_LEEWAY_SECONDS = 60  # go-oidc's, for clocks that differ
_READ_AGAIN = timedelta(seconds=10)  # the least time between two reads of an issuer's keys


class Issuer:
    """One entry of `jwt` in a valid AuthenticationConfiguration."""

    def __init__(
        self,
        jwt: Object,
        asker: Asker,
        own_audiences: Sequence[str],
        now: Callable[[], datetime],
        algorithms: Sequence[str] = jws.ALGORITHMS,
        counted: Counted | None = None,
    ) -> None:
        issuer = jwt["issuer"]
        self.url: str = issuer["url"]
        self._audiences = frozenset(issuer["audiences"])
        self._discovery = issuer.get("discoveryURL") or f"{self.url.rstrip('/')}/.well-known/openid-configuration"
        bundle = issuer.get("certificateAuthority")
        self._tls = trusting(bundle) if bundle else None
        self._mapping = ClaimMappings(jwt)
        self._asker = asker
        self._own_audiences = tuple(own_audiences)
        self._now = now
        self._algorithms = frozenset(algorithms)
        self._counted = counted or Counted()
        self._keys: dict[str, Any] = {}
        self._reading = asyncio.Lock()
        self._read_at: datetime | None = None

    async def user(self, token: str, audiences: frozenset[str]) -> Known | None:
        """Raises: BadToken."""
        with self._counted.judging(self.url) as judging:
            found = await self._user(token, audiences)
            judging.is_meant = found is not None
            return found

    async def _user(self, token: str, audiences: frozenset[str]) -> Known | None:
        try:
            signed = jws.read(token)
        except ValueError:
            return None
        header, claims = signed.header, signed.claims
        if claims.get("iss") != self.url:
            return None
        _check_texts(claims)
        algorithm, key_id = (text if isinstance(text := header.get(name), str) else "" for name in ("alg", "kid"))
        if algorithm not in self._algorithms:
            known = " ".join(f'"{one}"' for one in sorted(self._algorithms))
            told = f'expected [{known}] got "{algorithm}"'
            raise BadToken(f"oidc: verify token: oidc: id token signed with unsupported algorithm, {told}")
        keys = await self._keys_called(key_id)
        is_known = any(jws.is_signed(algorithm, key, signed) for key in keys)
        if "crit" in header or not is_known:  # nothing critical is known
            raise BadToken("oidc: verify token: failed to verify signature: failed to verify id token signature")
        self._check_times(claims)
        given = _audiences(claims)
        if not given & self._audiences:
            told = " ".join(f'"{one}"' for one in sorted(given))
            wanted = " ".join(f'"{one}"' for one in sorted(self._audiences))
            wanted = wanted if len(self._audiences) == 1 else f"in [{wanted}]"
            raise BadToken(f"oidc: verify token: oidc: expected audience {wanted} got [{told}]")
        meant = tuple(one for one in self._own_audiences if one in audiences)
        if not meant:
            return None
        user = self._mapping.user(claims)
        return Known(User(user.name, groups_of(user.name, user.groups), user.uid, user.extra), meant)

    def _check_times(self, claims: Object) -> None:
        now, ends, begins = self._now().timestamp(), claims.get("exp"), claims.get("nbf")
        if not isinstance(ends, int | float) or ends < now:
            raise BadToken(f"oidc: verify token: oidc: token is expired (Token Expiry: {_shown(ends)} +0000 UTC)")
        if isinstance(begins, int | float) and begins > now + _LEEWAY_SECONDS:
            raise BadToken("oidc: verify token: oidc: current time is before the nbf (not before) time")

    async def _keys_called(self, id_: str) -> Sequence[Any]:
        """The keys that a token may be signed with: any, where it names none."""
        async with self._reading:  # who comes meanwhile needs them, too
            is_late = self._read_at is None or self._now() - self._read_at > _READ_AGAIN
            if is_late and id_ not in self._keys and (id_ or not self._keys):
                try:
                    await self.read_keys()
                except NoAnswer as failed:
                    log.warning("cannot read the keys of %s: %s", self.url, failed)
        if not self._keys:
            raise BadToken(f'oidc: authenticator for issuer "{self.url}" is not initialized')
        return [key for name, key in self._keys.items() if id_ in ("", name)]

    async def read_keys(self) -> None:
        """Raises: NoAnswer."""
        try:
            self._keys = await self._read_keys()
        finally:
            self._read_at = self._now()

    async def _read_keys(self) -> dict[str, Any]:
        found = await self._asker.get(self._discovery, self._tls)
        is_known = isinstance(found, dict) and found.get("issuer") == self.url
        if not is_known or not isinstance(found.get("jwks_uri"), str):
            raise NoAnswer(f"{self._discovery} does not describe {self.url}")
        listed = await self._published(found["jwks_uri"])
        known = [key for key in listed if isinstance(key, dict) and isinstance(key.get("kid", ""), str)]
        return {key.get("kid", ""): public for key in known if (public := jws.public_key(key))}

    async def _published(self, url: str) -> list[Any]:
        """Raises: NoAnswer."""
        try:
            raw = await self._asker.read(url, self._tls)
            keys = decoded(url, raw)
            listed = keys.get("keys") if isinstance(keys, dict) else None
            if not isinstance(listed, list):
                raise NoAnswer(f"{url} lists no keys")
        except NoAnswer:
            self._counted.read(self.url, self._now(), None)
            raise
        self._counted.read(self.url, self._now(), raw)
        return listed


def _check_texts(claims: Object) -> None:
    """Raises: BadToken."""
    for name in ("sub", "nonce", "at_hash"):
        if not isinstance(claims.get(name), str | None):
            misfit = Mismatch(claims[name], "string")
            misfit.struct, misfit.fields = "idToken", [name]
            raise BadToken(f"oidc: verify token: oidc: failed to unmarshal claims: {misfit}")


def _audiences(claims: Object) -> set[str]:
    given = claims.get("aud") or []
    audiences = given if isinstance(given, list) else [given]
    if not all(isinstance(one, str) for one in audiences):
        raise BadToken("oidc: verify token: oidc: failed to unmarshal claims: audiences are no texts")
    return set(audiences)


def _shown(expiry: Any) -> str:
    """When a token ended, as far as that is a date."""
    try:
        return f"{datetime.fromtimestamp(expiry, UTC):%Y-%m-%d %H:%M:%S}"
    except (TypeError, ValueError, OverflowError, OSError):
        return "0001-01-01 00:00:00"
