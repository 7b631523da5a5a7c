"""Gets a container's image onto the node as its pull policy says; concurrent asks for one image share one pull.

Who brings other credentials shares nothing: neither another's refusal nor what another was given. A pod that comes
anew does not wait for what its predecessors failed at.

Source: upstream `pkg/kubelet/images/image_manager.go`, reasons and messages included.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import orjson

from pylet.agent.kubelet.backoff import Backoff
from pylet.aio.clock import Clock
from pylet.api.object import Object
from pylet.cri.interface import CriError, PullError, Runtime
from pylet.cri.messages import AuthConfig

log = logging.getLogger(__name__)

_FORGOTTEN = timedelta(minutes=20)
_SHOWN = timedelta(seconds=2)
"""How long a failure is told as such; then that the next try waits."""

Tell = Callable[[str, str, str], None]
"""(type, reason, message) of an event about the container."""


class ImageError(Exception):
    """The image is not to be had (now): the container's waiting reason and message; `again_at` things may differ."""

    def __init__(self, reason: str, message: str, again_at: datetime | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.again_at = again_at


class Images:
    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self._backoff = Backoff()
        self._failed_at: dict[str, tuple[datetime, str]] = {}
        self._pulling: dict[tuple[str, tuple[AuthConfig, ...]], asyncio.Future[str]] = {}

    async def ensure(self, image: str, policy: str, auths: Sequence[AuthConfig], tell: Tell, *, owner: str) -> str:
        """What to create the container from; `owner` is the pod that asks. Raises: ImageError, CriError."""
        reference = with_tag(image)
        present = await self._runtime.image_status(reference)
        if present is not None and policy != "Always":
            tell("Normal", "Pulled", f'Container image "{image}" already present on machine')
            return present.id
        if present is None and policy == "Never":
            words = f'Container image "{image}" is not present with pull policy of Never'
            tell("Warning", "ErrImageNeverPull", words)
            raise ImageError("ErrImageNeverPull", words)
        now = self._clock.now()
        key = f"{owner} {reference}"
        failure = self._failed_at.get(key)
        if failure is not None and (until := self._backoff.until(key, failure[0])) is not None and until > now:
            words = f'Back-off pulling image "{image}"'
            tell("Normal", "BackOff", words)
            raise ImageError("ImagePullBackOff", f"{words}: {failure[1]}", until)
        try:
            pulled = await self._pull(image, reference, tuple(auths), tell)
        except CriError as failed:
            raise self._remember(key, image, failed, tell) from failed
        self._failed_at.pop(key, None)
        self._backoff.forget(key)
        return pulled

    async def _pull(self, image: str, reference: str, auths: tuple[AuthConfig, ...], tell: Tell) -> str:
        while (running := self._pulling.get((reference, auths))) is not None:
            await asyncio.wait([running])
            if not running.cancelled():  # else whoever pulled it has gone: pull it ourselves
                return running.result()
        tell("Normal", "Pulling", f'Pulling image "{image}"')
        begin = self._clock.monotonic()
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pulling[reference, auths] = done
        try:
            pulled = await self._try_each(reference, auths)
        except CriError as failed:
            done.set_exception(failed)
            done.exception()  # nobody else may be waiting
            raise
        except asyncio.CancelledError:
            done.cancel()
            raise
        finally:
            del self._pulling[reference, auths]
        done.set_result(pulled)
        took = _go_seconds(self._clock.monotonic() - begin)
        present = await self._runtime.image_status(reference)
        size = present.size if present is not None else 0
        words = f'Successfully pulled image "{image}" in {took} ({took} including waiting). Image size: {size} bytes.'
        tell("Normal", "Pulled", words)
        return pulled

    async def _try_each(self, reference: str, auths: Sequence[AuthConfig]) -> str:
        """With each credential in turn, as upstream; the last refusal counts."""
        candidates: list[AuthConfig | None] = [*auths] or [None]
        *first, last = candidates
        for auth in first:
            try:
                return await self._runtime.pull_image(reference, auth=auth)
            except CriError as refused:
                log.debug("pull %s: %s", reference, refused)
        return await self._runtime.pull_image(reference, auth=last)

    def _remember(self, key: str, image: str, failed: CriError, tell: Tell) -> ImageError:
        now = self._clock.now()
        for old in [old for old, (at, _) in self._failed_at.items() if now - at > _FORGOTTEN]:
            del self._failed_at[old]
            self._backoff.forget(old)
        self._backoff.failed(key, now, now)
        reason = failed.reason if isinstance(failed, PullError) else "ErrImagePull"
        words = str(failed)
        self._failed_at[key] = now, f"{reason}: {words}"
        tell("Warning", "Failed", f'Failed to pull image "{image}": {words}')
        return ImageError(reason, words, now + _SHOWN)


def _go_seconds(seconds: float) -> str:
    """As Go prints a duration that was cut to milliseconds."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s" if seconds >= 1 else f"{int(seconds * 1000)}ms"


def with_tag(image: str) -> str:
    """The reference with the tag it means: `latest` where it has neither tag nor digest."""
    return image if "@" in image or ":" in image.rsplit("/", 1)[-1] else f"{image}:latest"


def credentials(secrets: Sequence[Object], image: str) -> list[AuthConfig]:
    """What pull secrets hold for the registry of `image`, in their order."""
    found = []
    registry = registry_of(image)
    for secret in secrets:
        data = secret.get("data") or {}
        try:
            if ".dockerconfigjson" in data:
                auths = orjson.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {}
            elif ".dockercfg" in data:
                auths = orjson.loads(base64.b64decode(data[".dockercfg"]))
            else:
                continue
        except (ValueError, AttributeError):
            log.warning("pull secret %s is not a docker configuration", secret["metadata"]["name"])
            continue
        for host, entry in auths.items():
            if _host(host) == registry:
                found.append(_auth(entry))
    return found


def registry_of(image: str) -> str:
    """The host an image comes from; names without one come from docker.io."""
    first, _, rest = image.partition("/")
    return first if rest and ("." in first or ":" in first or first == "localhost") else "docker.io"


def _host(address: str) -> str:
    host = address.removeprefix("https://").removeprefix("http://").split("/", 1)[0]
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host


def _auth(entry: Object) -> AuthConfig:
    user, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth") and not user:
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return AuthConfig(username=user, password=password, identity_token=entry.get("identitytoken", ""))
