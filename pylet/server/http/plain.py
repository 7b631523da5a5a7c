"""What is said at paths of their own, alike to whoever may ask: the version, keys, metrics, what a start was told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from pylet.aio import process
from pylet.api.errors import MethodNotAllowed
from pylet.api.object import Object
from pylet.server.auth.tokens import Tokens
from pylet.server.flow import Limiter, standing
from pylet.server.http.answer import Answer
from pylet.server.http.health import Health
from pylet.server.metrics import Metrics
from pylet.version import BUILD, EMULATED

if TYPE_CHECKING:
    from pylet.api.zpages import Page

Say = Callable[[web.BaseRequest], Answer]

_CACHED = (("Cache-Control", "public, max-age=3600"),)
UNLISTED = "/debug"
"""What is below it is not among the paths that `/` lists."""
_PATHS = ("/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version")


def answers(
    metrics: Metrics,
    health: Health,
    tokens: Tokens,
    limiter: Limiter,
    flags: Callable[[], Mapping[str, str]],
    pods: Callable[[], Iterable[Object]],
) -> dict[str, Say]:
    """Who says what at each path."""

    def statusz(http: web.BaseRequest) -> Answer:
        from pylet.api import zpages

        started, accept = datetime.fromtimestamp(process.started(), UTC), http.headers.get("Accept", "")
        return _page(zpages.statusz("apiserver", _PATHS, accept, started, datetime.now(UTC)))

    def flagz(http: web.BaseRequest) -> Answer:
        from pylet.api import zpages

        return _page(zpages.flagz("apiserver", http.headers.get("Accept", ""), flags()))

    def metrics_text(http: web.BaseRequest) -> Answer:
        return _exposition(metrics.text())

    def resources(http: web.BaseRequest) -> Answer:
        from pylet.server.http import pod_resources

        return _exposition("".join(f"{line}\n" for line in pod_resources.lines(pods())))

    def levels(http: web.BaseRequest) -> Answer:
        return Answer.text(standing.priority_levels(limiter.states(datetime.now(UTC))))

    def queues(http: web.BaseRequest) -> Answer:
        return Answer.text(standing.queues(limiter.states(datetime.now(UTC))))

    def requests(http: web.BaseRequest) -> Answer:
        details = bool(http.query.get("includeRequestDetails"))
        return Answer.text(standing.requests(limiter.states(datetime.now(UTC)), details=details))

    return {
        f"{UNLISTED}/api_priority_and_fairness/dump_priority_levels": levels,
        f"{UNLISTED}/api_priority_and_fairness/dump_queues": queues,
        f"{UNLISTED}/api_priority_and_fairness/dump_requests": requests,
        "/version": _version,
        "/metrics": metrics_text,
        "/metrics/resources": resources,
        "/metrics/slis": lambda http: _exposition("".join(f"{line}\n" for line in health.indicators())),
        "/openid/v1/jwks": lambda http: Answer(orjson.dumps(tokens.jwks()), 200, "application/jwk-set+json", _CACHED),
        "/.well-known/openid-configuration": lambda http: _openid_configuration(tokens.issuer),
        "/statusz": statusz,
        "/flagz": flagz,
    }


def only_get(http: web.BaseRequest) -> None:
    """Raises: MethodNotAllowed."""
    if http.method != "GET":
        raise MethodNotAllowed("the server does not allow this method on the requested resource", details={})


def _page(page: Page) -> Answer:
    return Answer(page.body, type_=page.type, headers=page.headers)


def _exposition(text: str) -> Answer:
    return Answer(text.encode(), type_="text/plain; version=0.0.4; charset=utf-8")


def _openid_configuration(issuer: str) -> Answer:
    return Answer.of(
        {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        },
        headers=_CACHED,
    )


def _version(http: web.BaseRequest) -> Answer:
    """Raises: MethodNotAllowed."""
    only_get(http)
    return Answer.indented(
        {
            "major": BUILD["major"],
            "minor": BUILD["minor"],
            "emulationMajor": BUILD["major"],
            "emulationMinor": BUILD["minor"],
            "minCompatibilityMajor": BUILD["major"],
            "minCompatibilityMinor": EMULATED["min_compat"].partition(".")[2],
            "gitVersion": BUILD["git_version"],
            "gitCommit": BUILD["git_commit"],
            "gitTreeState": BUILD["git_tree_state"],
            "buildDate": BUILD["build_date"],
            "goVersion": BUILD["go_version"],
            "compiler": BUILD["compiler"],
            "platform": BUILD["platform"],
        }
    )
