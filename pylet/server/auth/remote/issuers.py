"""The issuers of an AuthenticationConfiguration; later ones take the place of the first.

Source: pkg/kubeapiserver/authenticator/config.go, pkg/kubeapiserver/options/authentication.go.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

from pylet.aio.certificate import trusting
from pylet.api.configuration import authentication
from pylet.api.configuration.decoding import BadConfiguration, strictly
from pylet.api.errors import aggregated
from pylet.api.object import Object
from pylet.server.auth.remote import Known
from pylet.server.auth.remote.asking import NoAnswer
from pylet.server.auth.remote.counted import Counted
from pylet.server.auth.remote.following import Unfit
from pylet.server.auth.remote.oidc import Issuer
from pylet.server.auth.tokens import BadToken

_NEW_SECONDS = 60.0


def read(raw: bytes, own_issuers: Sequence[str]) -> Object:
    """A valid AuthenticationConfiguration. Raises: Unfit."""
    try:
        if not raw:
            raise BadConfiguration("empty config data")
        config = strictly(raw, {authentication.KIND: authentication.VERSIONS})
    except BadConfiguration as bad:
        raise Unfit(f"failed to load authentication configuration: {bad}") from bad
    check(config, own_issuers)
    return config


def check(config: Object, own_issuers: Sequence[str]) -> None:
    """Raises: Unfit."""
    if wrong := [str(cause) for cause in authentication.problems(config, own_issuers, _distrusted)]:
        raise Unfit(f"invalid authentication configuration: {aggregated(wrong)}")
    for jwt in config.get("jwt") or ():
        if egress := jwt["issuer"].get("egressSelectorType"):
            raise Unfit(f'oidc: egress lookup required with egress selector type "{egress}"')


def anonymous_at(config: Object) -> frozenset[str] | None:
    """The paths for whoever does not say who he is, None for all."""
    anonymous = config.get("anonymous")
    if anonymous is None:
        return None
    if not anonymous.get("enabled"):
        return frozenset()
    conditions = anonymous.get("conditions") or ()
    return frozenset(one.get("path") or "" for one in conditions) if conditions else None


class Issuers:
    """Whom tokens are believed; `change` says others."""

    def __init__(
        self, config: Object, make: Callable[[Object], Issuer], own_issuers: Sequence[str], counted: Counted
    ) -> None:
        """`counted` forgets whom nobody believes any more."""
        self._counted = counted
        self._config = config
        self._make = make
        self._own = own_issuers
        self._issuers = [make(jwt) for jwt in config.get("jwt") or ()]

    async def user(self, token: str, audiences: frozenset[str]) -> Known | None:
        """Raises: BadToken."""
        why: BadToken | None = None
        for issuer in self._issuers:
            try:
                found = await issuer.user(token, audiences)
            except BadToken as bad:
                why = bad
                continue
            if found is not None:
                return found
        if why is not None:
            raise why
        return None

    async def change(self, raw: bytes) -> bool:
        """Whether it says something else than what holds; issuers whose keys cannot be read change nothing.

        Raises: Unfit.
        """
        config = read(raw, self._own)
        if config.get("anonymous") != self._config.get("anonymous"):
            raise Unfit("anonymous: Forbidden: changed from initial configuration file")
        issuers = [self._make(jwt) for jwt in config.get("jwt") or ()]
        try:
            async with asyncio.timeout(_NEW_SECONDS):
                for issuer in issuers:
                    await issuer.read_keys()
        except (NoAnswer, TimeoutError) as failed:
            raise Unfit(f"cannot read the issuers' keys: {failed}", may_pass=True) from failed
        for gone in {issuer.url for issuer in self._issuers} - {issuer.url for issuer in issuers}:
            self._counted.forget(gone)
        self._issuers, self._config = issuers, config
        return True


def _distrusted(bundle: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in bundle:
        return "data does not contain any valid RSA or ECDSA certificates"
    try:
        trusting(bundle)
    except ssl.SSLError:
        return "x509: malformed certificate"
    return ""
