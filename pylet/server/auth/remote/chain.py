"""From an AuthorizationConfiguration to those who decide, in their order; a later one takes the place of the first.

Source: pkg/kubeapiserver/authorizer/{config,reload}.go, pkg/kubeapiserver/options/authorization.go.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from pylet.aio.clock import Clock
from pylet.api.configuration import authorization
from pylet.api.configuration.authorization import WEBHOOK
from pylet.api.configuration.decoding import BadConfiguration, strictly
from pylet.api.errors import aggregated
from pylet.api.object import Object
from pylet.client import kubeconfig
from pylet.server.auth.authorize import Chain, Link
from pylet.server.auth.remote.access_webhook import AccessWebhook, Counted
from pylet.server.auth.remote.asking import SECONDS, Asker
from pylet.server.auth.remote.following import Unfit

_OF_SERVER = ("Node", "RBAC")


def read(raw: bytes) -> Object:
    """A valid AuthorizationConfiguration with its defaults. Raises: Unfit."""
    config: Object = {}
    try:
        if raw:
            config = strictly(raw, {authorization.KIND: authorization.VERSIONS})
    except BadConfiguration as bad:
        raise Unfit(f"failed to load AuthorizationConfiguration from file: {bad}") from bad
    authorization.set_defaults(config)
    wrong = [str(cause) for cause in authorization.problems(config, _unreadable)] or authorization.misnamed(config)
    if wrong:
        raise Unfit(aggregated(wrong))
    return config


def of_webhook(file: Path, version: str) -> Object:
    """The configuration that the flags of one webhook stand for."""
    webhook: Object = {
        "timeout": f"{SECONDS:g}s",
        "failurePolicy": "NoOpinion",
        "subjectAccessReviewVersion": version,
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(file)},
    }
    own = [{"type": type_, "name": type_.lower()} for type_ in _OF_SERVER]
    config: Object = {"authorizers": [*own, {"type": WEBHOOK, "name": "default", "webhook": webhook}]}
    authorization.set_defaults(config)
    return config


class ConfiguredChain:
    """`chain` is what `config` says, and what is said later with `change`. Raises: Unfit."""

    def __init__(self, config: Object, asker: Asker, clock: Clock) -> None:
        self._asker = asker
        self._clock = clock
        self._config = config
        self._needed = {one["type"] for one in config["authorizers"]} - {WEBHOOK}
        self.counted = Counted()
        self.chain = Chain(self._links(config["authorizers"]))

    async def change(self, raw: bytes) -> bool:
        """Whether it says something else than what holds. Raises: Unfit."""
        config = read(raw)
        types = {one["type"] for one in config["authorizers"]}
        if missing := sorted(self._needed - types):
            raise Unfit(f"missing required types: [{' '.join(missing)}]")
        if config == self._config:
            return False
        for type_ in _OF_SERVER:
            if type_ in types - self._needed:
                why = "is not allowed if it was not enabled at initial server startup"
                raise Unfit(f"authorizer type {type_} {why}")
        self.chain.links = self._links(config["authorizers"])
        self._config = config
        return True

    def _links(self, authorizers: Sequence[Object]) -> tuple[Link, ...]:
        """Raises: Unfit."""
        return tuple(Link(one["type"], one["name"], self._judge(one)) for one in authorizers)

    def _judge(self, one: Object) -> AccessWebhook | None:
        if one["type"] != WEBHOOK:
            return None
        webhook = one["webhook"]
        file = webhook["connectionInfo"].get("kubeConfigFile")
        if file is None:
            raise Unfit(f"authorizer {one['name']}: connectionInfo of type InClusterConfig is not supported")
        try:
            target = endpoint(Path(file))
            return AccessWebhook(one["name"], webhook, target, self._asker, self._clock, self.counted)
        except kubeconfig.KubeconfigError as bad:
            raise Unfit(str(bad)) from bad


def endpoint(file: Path) -> kubeconfig.Endpoint:
    """Raises: KubeconfigError."""
    config = kubeconfig.load([file], required=True)
    if not config["current-context"]:
        raise kubeconfig.KubeconfigError("invalid configuration: no configuration has been provided")
    return kubeconfig.endpoint(config)


def _unreadable(file: str) -> str:
    try:
        mode = Path(file).stat().st_mode
    except OSError as failed:
        why = (failed.strerror or "").lower()
        return f"error loading file: stat {file}: {why}"
    return "" if stat.S_ISREG(mode) else "must be a regular file"
