"""A webhook that knows tokens: asked with a TokenReview, its answers remembered a while.

Source: apiserver plugin/pkg/authenticator/token/webhook, pkg/authentication/token/cache.
"""

from __future__ import annotations

import hashlib
import logging
from functools import partial

from pylet.aio.clock import Clock
from pylet.api.object import Object
from pylet.client import kubeconfig
from pylet.server.auth.authenticate import groups_of
from pylet.server.auth.remote import Known
from pylet.server.auth.remote.asking import SECONDS, Asker, NoAnswer
from pylet.server.auth.remote.remembered import Remembered
from pylet.server.auth.tokens import BadToken
from pylet.server.registry import User

log = logging.getLogger(__name__)

_REMEMBERED, _SECONDS = 4096, 120


class TokenWebhook:
    """`version` is the reviews', `own` are the audiences of tokens whose audiences it does not tell."""

    def __init__(
        self, target: kubeconfig.Endpoint, asker: Asker, clock: Clock, version: str, own: tuple[str, ...]
    ) -> None:
        self._target = target
        self._tls = kubeconfig.ssl_context(target) if target.server.startswith("https:") else None
        self._asker = asker
        self._own = own
        self._version = f"authentication.k8s.io/{version}"
        self._known: Remembered[Object] = Remembered(clock.monotonic, _REMEMBERED)

    async def user(self, token: str, audiences: frozenset[str]) -> Known | None:
        """Raises: BadToken."""
        question = hashlib.sha256(token.encode()).digest(), audiences
        status = self._known.get(question)
        if status is None:
            status = await self._asked(token, audiences)
            self._known.keep(question, status, _SECONDS)
        meant = tuple(one for one in status.get("audiences") or self._own if one in audiences)
        if not meant or not status.get("authenticated"):
            return None
        info = status.get("user") or {}
        name = info.get("username") or ""
        groups = groups_of(name, tuple(info.get("groups") or ()))
        return Known(User(name, groups, info.get("uid") or "", info.get("extra") or {}), meant)

    async def _asked(self, token: str, audiences: frozenset[str]) -> Object:
        """The status of a review. Raises: BadToken."""
        spec = {"token": token, "audiences": sorted(audiences)}
        review = {"kind": "TokenReview", "apiVersion": self._version, "metadata": {}, "spec": spec}
        review["status"] = {"user": {}}
        try:
            found = await self._asker.insist(
                partial(self._asker.post, self._target, review, self._tls, seconds=SECONDS)
            )
        except NoAnswer as failed:
            log.error("cannot ask about a token: %s", failed)
            raise BadToken(str(failed)) from failed
        status: Object = found.get("status") or {}
        if not status.get("authenticated") and status.get("error"):
            raise BadToken(str(status["error"]))
        return status
