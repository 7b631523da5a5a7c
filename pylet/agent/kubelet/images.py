"""Gets a container's image onto the node as its pull policy says; concurrent asks for one image share one pull.

Who brings other credentials shares nothing: neither another's refusal nor what another was given. A pod that comes
anew does not wait for what its predecessors failed at.

Source: upstream `pkg/kubelet/images/image_manager.go`, reasons and messages included.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.backoff import Backoff
from pylet.agent.kubelet.image_names import flaw, with_tag
from pylet.agent.kubelet.keyring import Credential
from pylet.agent.kubelet.pull_records import Lookup, PullRecords
from pylet.aio.clock import Clock
from pylet.cri.interface import CriError, PullError, Runtime
from pylet.cri.messages import Image

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
    """Without `records` every pod may use what is here, whoever pulled it; `at_once` bounds how many are pulled."""

    def __init__(
        self, runtime: Runtime, clock: Clock, records: PullRecords | None = None, *, at_once: int | None = None
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._records = records
        self._turns = nullcontext() if at_once is None else asyncio.Semaphore(at_once)
        self._backoff = Backoff()
        self._failed_at: dict[str, tuple[datetime, str]] = {}
        self._pulling: dict[tuple[str, tuple[Credential, ...]], asyncio.Future[Image]] = {}

    async def recover(self) -> None:
        """Take up what a kubelet before this one was pulling. Raises: CriError."""
        if self._records is not None:
            self._records.recover(await self._runtime.list_images())

    async def ensure(self, image: str, policy: str, lookup: Lookup, tell: Tell, *, owner: str) -> Image:
        """The image to create the container from; `owner` is the pod that asks, `lookup` finds what it may pull with.

        Raises: ImageError, CriError.
        """
        if why := flaw(image):
            words = f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {why}'
            tell("Warning", "InspectFailed", words)
            raise ImageError("InvalidImageName", words)
        reference = with_tag(image)
        present = None if policy == "Always" else await self._inspect(reference, tell)
        if present is not None and not (
            self._records is not None and await self._records.must_pull(image, present.id, lookup)
        ):
            words = f'Container image "{image}" already present on machine and can be accessed by the pod'
            tell("Normal", "Pulled", words)
            return present
        if policy == "Never":  # that it is here is nothing to tell who may not have it
            words = f'Container image "{image}" is not present with pull policy of Never'
            tell("Warning", "ErrImageNeverPull", words)
            raise ImageError("ErrImageNeverPull", words)
        now = self._clock.now()
        key = f"{owner} {reference}"
        failure = self._failed_at.get(key)
        if failure is not None and (until := self._backoff.until(key, failure[0], now)) is not None:
            words = f'Back-off pulling image "{image}"'
            tell("Normal", "BackOff", words)
            raise ImageError("ImagePullBackOff", f"{words}: {failure[1]}", until)
        try:
            pulled = await self._pull(image, reference, tuple(await lookup()), tell)
        except CriError as failed:
            raise self._remember(key, image, failed, tell) from failed
        self._failed_at.pop(key, None)
        self._backoff.forget(key)
        return pulled

    async def _inspect(self, reference: str, tell: Tell) -> Image | None:
        try:
            return await self._runtime.image_status(reference)
        except CriError as failed:
            words = f'Failed to inspect image "": {failed}'  # upstream names what it has not found
            tell("Warning", "InspectFailed", words)
            raise ImageError("ImageInspectError", words) from failed

    async def _pull(self, image: str, reference: str, credentials: tuple[Credential, ...], tell: Tell) -> Image:
        while (running := self._pulling.get((reference, credentials))) is not None:
            await asyncio.wait([running])
            if not running.cancelled():  # else whoever pulled it has gone: pull it ourselves
                return running.result()
        tell("Normal", "Pulling", f'Pulling image "{image}"')
        begin = self._clock.monotonic()
        done: asyncio.Future[Image] = asyncio.get_running_loop().create_future()
        self._pulling[reference, credentials] = done
        try:
            with nullcontext() if self._records is None else self._records.pulling(image):
                async with self._turns:
                    its_turn = self._clock.monotonic()
                    pulled, credential = await self._try_each(reference, credentials)
                end = self._clock.monotonic()
                if self._records is not None:
                    self._records.pulled(image, pulled, credential)
                present = await self._runtime.image_status(reference)
        except CriError as failed:
            done.set_exception(failed)
            done.exception()  # nobody else may be waiting
            raise
        except asyncio.CancelledError:
            done.cancel()
            raise
        finally:
            del self._pulling[reference, credentials]
        found = Image(pulled) if present is None else replace(present, id=pulled)
        done.set_result(found)
        counters.PULLS.observe(end - begin, counters.image_size(found.size))
        took, waited = _go_seconds(end - its_turn), _go_seconds(end - begin)
        words = f'Successfully pulled image "{image}" in {took} ({waited} including waiting).'
        tell("Normal", "Pulled", f"{words} Image size: {found.size} bytes.")
        return found

    async def _try_each(self, reference: str, credentials: Sequence[Credential]) -> tuple[str, Credential | None]:
        """With each credential in turn, as upstream, and which was taken; the last refusal counts."""
        refused: CriError | None = None
        for credential in credentials or (None,):
            try:
                auth = None if credential is None else credential.auth
                return await self._runtime.pull_image(reference, auth=auth), credential
            except CriError as failed:
                log.debug("pull %s: %s", reference, failed)
                refused = failed
        assert refused is not None
        raise refused

    def _remember(self, key: str, image: str, failed: CriError, tell: Tell) -> ImageError:
        now = self._clock.now()
        for old in [old for old, (at, _) in self._failed_at.items() if now - at > _FORGOTTEN]:
            del self._failed_at[old]
            self._backoff.forget(old)
        self._backoff.failed(key, now, now)
        reason = failed.reason if isinstance(failed, PullError) else "ErrImagePull"
        words = str(failed)
        self._failed_at[key] = now, f"{reason}: {words}"
        tell("Warning", "Failed", f'Failed to pull image "{image}": {failed.details}')
        return ImageError(reason, words, now + _SHOWN)


def _go_seconds(seconds: float) -> str:
    """As Go prints a duration that was cut to milliseconds."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s" if seconds >= 1 else f"{int(seconds * 1000)}ms"
